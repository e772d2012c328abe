"""Holds the module `usercopy` to what it says: prints one line a claim. Arguments: a prepared file (firmware.yaml)."""
import gc
import sys
import weakref

from unicorn import UC_ARCH_ARM64, UC_ARCH_X86, UC_MODE_64, UC_MODE_ARM, Uc, UcError
from unicorn.x86_const import UC_X86_REG_RAX, UC_X86_REG_RDI, UC_X86_REG_RDX, UC_X86_REG_RIP, UC_X86_REG_RSI, UC_X86_REG_RSP

import usercopy
from usercopy import Decision, Outcome

CODE, BUFFERS, USER, STACK, PAGE = 0x100000, 0x200000, 0x300000, 0x400000, 0x1000
BACK = CODE + PAGE - 16
PREPARED = sys.argv[1]


def machine():
    uc = Uc(UC_ARCH_X86, UC_MODE_64)
    for address in (CODE, BUFFERS, USER, STACK):
        uc.mem_map(address, PAGE)
    uc.mem_write(CODE, bytes.fromhex("4889d1f3a431c0c3"))
    return uc


def copy(uc, size):
    sp = STACK + PAGE - 64
    for register, value in (
        (UC_X86_REG_RDI, USER),
        (UC_X86_REG_RSI, BUFFERS + 64),
        (UC_X86_REG_RDX, size),
        (UC_X86_REG_RSP, sp),
    ):
        uc.reg_write(register, value)
    uc.mem_write(sp, BACK.to_bytes(8, "little"))
    uc.emu_start(CODE, BACK)
    return uc.reg_read(UC_X86_REG_RIP)


def claim(name, holds):
    print(f"{name}: {'yes' if holds else 'NO'}")


def refusal(work):
    try:
        work()
        return ""
    except usercopy.UsercopyError as error:
        return str(error)


def decisions():
    uc, seen, answer = machine(), [], Decision.STOP

    def on_violation(violation):
        seen.append(violation)
        return answer

    with usercopy.attach(uc, PREPARED, on_violation=on_violation) as attachment:
        claim("a good copy goes on", copy(uc, 64) == BACK and not seen)
        claim("a bad one stops", copy(uc, 65) == CODE and len(seen) == 1)
        claim("an equal one stops again", copy(uc, 65) == CODE and len(seen) == 2)
        attachment.resume(BACK)
        claim("it goes on when it is told to", uc.reg_read(UC_X86_REG_RIP) == BACK and len(seen) == 2)
        claim("once", "expected a copy that was stopped" in refusal(lambda: attachment.resume(BACK)))
        answer = Decision.CONTINUE
        claim("CONTINUE goes on", copy(uc, 65) == BACK)
        answer = Decision.FAIL
        claim("FAIL returns what was not copied", copy(uc, 65) == BACK and uc.reg_read(UC_X86_REG_RAX) == 65)
        answer = Decision.CRASH
        try:
            copy(uc, 65)
            claim("CRASH raises UcError", False)
        except UcError:
            claim("CRASH raises UcError", True)
        claim("statistics", (attachment.statistics.checks, attachment.statistics.bad, attachment.statistics.resumed) == (6, 5, 1))
        claim("tallies", attachment.tally("cache") == {"packet_buffers": 5} and attachment.tally("verdict")["bad: slab object"] == 5)
    one = seen[0]
    claim("facts", (one.outcome, one.region, one.cache, one.direction) == (Outcome.BAD, "slab object", "packet_buffers", "to_user"))
    claim("object", one.object == (BUFFERS + 64, BUFFERS + 128) and (one.pointer, one.size) == (BUFFERS + 64, 65))
    claim("caller", one.caller.address == BACK and one.title == f"BUG: bad usercopy in {BACK:#x}")
    claim("explanation", one.explanation[-1] == "the copy ends 1 byte past it")
    claim("a detached one says so", "detached" in refusal(lambda: attachment.statistics))
    claim("detaching twice is harmless", attachment.detach() is None and copy(uc, 65) == BACK)


def errors():
    uc = machine()

    def fails(_violation):
        raise KeyError("mine")

    raised = False
    try:
        with usercopy.attach(uc, PREPARED, on_violation=fails):
            copy(uc, 65)
    except KeyError:
        raised = True
    claim("what a callback raises is raised", raised)
    with usercopy.attach(uc, PREPARED) as attachment:
        claim("without a callback it stops", copy(uc, 65) == CODE and attachment.last_violation is not None)
    with usercopy.attach(uc, open(PREPARED, "rb").read(), suppress="cache=packet_*") as attachment:
        claim("rules silence", copy(uc, 65) == BACK and attachment.suppressed(0) == 1)
        claim("a bad rule is refused", "line 1" in refusal(lambda: attachment.suppress("colour=red")))
    seen = []
    with usercopy.attach(uc, PREPARED, on_violation=seen.append, audit=True) as attachment:
        claim("an audit lets copies happen", copy(uc, 65) == BACK and not seen)
        claim("and finds them", attachment.flush() and seen[0].judged_afterwards)
    claim("no such file", "cannot be read" in refusal(lambda: usercopy.attach(uc, "/nowhere/attach.json")))
    claim("no prepared file", "usercopy prepare" in refusal(lambda: usercopy.attach(uc, b"{}")))
    other = Uc(UC_ARCH_ARM64, UC_MODE_ARM)
    claim("another architecture", "expected an emulator of x86_64" in refusal(lambda: usercopy.attach(other, PREPARED)))
    claim("no emulator", "expected a unicorn.Uc" in refusal(lambda: usercopy.attach(object(), PREPARED)))
    with open(PREPARED) as file:
        text = file.read()
    claim("a text in the place of a path is not printed", len(refusal(lambda: usercopy.attach(uc, text))) < 200)
    claim("a zero byte is no end", "zero byte" in refusal(lambda: usercopy.attach(uc, text.encode() + b"\0")))
    claim("nor of rules", "zero byte" in refusal(lambda: usercopy.attach(uc, PREPARED, suppress="cache=a\0")))
    claim("a decision is no callback", "on_violation" in refusal(lambda: usercopy.attach(uc, PREPARED, on_violation=Decision.CRASH)))
    claim("findings need sanitizers", "sanitizers" in refusal(lambda: usercopy.attach(uc, PREPARED, on_finding=print)))
    for answer in (False, True, 1.0, "STOP", 5, Decision.RETRY):
        with usercopy.attach(uc, PREPARED, on_violation=lambda _, answer=answer: answer):
            claim(f"{answer!r} is no answer", "expected" in refusal(lambda: copy(uc, 65)))


def audits():
    """What a callback raises when nothing is emulated."""
    uc, failure = machine(), KeyError("mine")

    def fails(_violation):
        raise failure

    def raised(work):
        try:
            work()
        except KeyError as error:
            return error is failure
        return False

    def within(other=None):
        with usercopy.attach(uc, PREPARED, on_violation=fails, audit=True):
            copy(uc, 65)
            if other is not None:
                raise other

    attachment = usercopy.attach(uc, PREPARED, on_violation=fails, audit=True)
    copy(uc, 65)
    claim("flush() raises it", raised(attachment.flush) and attachment.flush() is False)
    copy(uc, 65)
    claim("the end of an audit raises it", raised(lambda: attachment.set_audit(False)))
    attachment.set_audit(True)
    copy(uc, 65)
    claim("detach() raises it", raised(attachment.detach))
    claim("the end of a with raises it", raised(within))
    other = ValueError("another")
    try:
        within(other)
        claim("it hides no other error", False)
    except ValueError as error:
        claim("it hides no other error", error is other)
    with usercopy.attach(uc, PREPARED, on_violation=lambda _: Decision.FAIL, audit=True) as attachment:
        copy(uc, 65)
        claim("a copy that has happened cannot fail", "has happened" in refusal(attachment.flush))


def lifetimes():
    uc, seen = machine(), []
    usercopy.attach(uc, PREPARED, on_violation=seen.append)
    gc.collect()
    claim("who keeps nothing has attached all the same", copy(uc, 65) == CODE and len(seen) == 1)
    gc.disable()
    uc = machine()
    with usercopy.attach(uc, PREPARED, on_violation=lambda _, uc=uc: None) as attachment:
        copy(uc, 65)
    gone = weakref.ref(uc)
    del uc
    claim("a detached one keeps no emulator", gone() is None and attachment.last_violation.size == 65)
    gc.enable()
    uc = machine()
    usercopy.attach(uc, PREPARED, on_violation=lambda _, uc=uc: None)
    gone = weakref.ref(uc)
    del uc
    gc.collect()
    claim("an attached one goes with it", gone() is None)


def nested():
    """Callbacks that run the guest themselves, and put the CPU back."""
    uc, seen, inner, decision = machine(), [], 0, Decision.FAIL

    def on_violation(violation):
        seen.append(violation.size)
        if violation.size != 65:
            return Decision.CONTINUE
        before = uc.context_save()
        if detaches:
            attachment.detach()
        copy(uc, inner)
        uc.context_restore(before)
        return decision

    for inner, judged in ((10, [65]), (100, [65, 100])):
        seen.clear()
        detaches = False
        with usercopy.attach(uc, PREPARED, on_violation=on_violation) as attachment:
            claim(f"FAIL fails the outer copy, not the one of {inner}", copy(uc, 65) == BACK and uc.reg_read(UC_X86_REG_RAX) == 65)
            claim(f"both were judged, {inner}", seen == judged and attachment.statistics.checks == 2)
    for decision, end in ((Decision.STOP, CODE), (Decision.CONTINUE, BACK), (Decision.FAIL, BACK)):
        seen.clear()
        detaches = True
        attachment = usercopy.attach(uc, PREPARED, on_violation=on_violation)
        claim(f"one that detaches first is obeyed: {decision.name}", copy(uc, 65) == end and seen == [65])
        claim(f"and asked no more: {decision.name}", copy(uc, 65) == BACK and seen == [65])


decisions()
errors()
audits()
lifetimes()
nested()
