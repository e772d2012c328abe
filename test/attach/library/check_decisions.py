"""What a harness on a real kernel of any architecture can answer to a bad copy: prints one line of JSON.

The snapshot stands at simple_read_from_buffer(user, SECOND, &position, object of 64 bytes, 4096). Arguments: the variant, a
prepared file, a snapshot, and the address of a structure that the check needs (0x…).
"""
import json
import sys

from machines import Standing
from unicorn import UcError

import usercopy
from usercopy import Decision

VARIANT, PREPARED, FOLDER, NEEDED = sys.argv[1:]
standing = Standing(VARIANT, FOLDER)
uc, seen, decision = standing.uc, [], Decision.STOP


def on_violation(violation):
    seen.append(violation)
    return decision


def name(frame):
    return frame.symbol or hex(frame.address)


def answers(snapshot):
    """What becomes of the guest; with a snapshot the check reads its memory in place."""
    out = {}
    seen.clear()
    with usercopy.attach(uc, PREPARED, on_violation=on_violation, snapshot=snapshot) as attachment:

        def run(size, answer):
            global decision
            decision = answer
            attachment.reset()
            return standing.run(size)

        out["good"] = run(64, Decision.STOP)
        run(65, Decision.STOP)
        out["stopped"] = not standing.has_returned
        out["failed"] = run(65, Decision.FAIL)
        out["good again"] = run(64, Decision.STOP)
        try:
            run(65, Decision.CRASH)
            out["crashed"] = False
        except UcError:
            out["crashed"] = True
        out["good after a crash"] = run(64, Decision.STOP)
        one = seen[0]
        out["message"], out["title"], out["caller"], out["method"] = one.message, one.title, name(one.caller), one.backtrace_method
        out["backtrace"] = [[name(frame), frame.offset, frame.reliable] for frame in one.backtrace]
        out["statistics"] = [attachment.statistics.checks, attachment.statistics.bad, len(seen)]
        out["notes"] = attachment.notes
    return out


out = answers(None)
out["in place"] = answers(standing.guest) == out
del out["notes"]

# The same where a structure that the check needs is not there until it is asked for.
page = int(NEEDED, 0) & ~0xFFF
region = (page, page + 0xFFF)
standing.guest.restore()
content, asked = uc.mem_read(region[0], region[1] - region[0] + 1), []


def on_missing(address):
    asked.append(address)
    uc.mem_map(region[0], region[1] - region[0] + 1)
    uc.mem_write(region[0], bytes(content))
    return True


uc.mem_unmap(region[0], region[1] - region[0] + 1)
seen.clear()
with usercopy.attach(uc, PREPARED, on_violation=on_violation, on_missing=on_missing) as attachment:
    uc.reg_write(standing.machine.second, 65)
    decision = Decision.STOP
    uc.emu_start(standing.begin, standing.until)
    out["asked"] = [region[0] <= address <= region[1] for address in asked]
    out["messages"] = [violation.message for violation in seen]
    out["judged"] = [attachment.statistics.checks, attachment.statistics.bad, attachment.statistics.unreadable]

# A page that is taken away from under a check that reads in place: it is told, at once where a copy is refused.
standing.guest.restore()
uc.mem_unmap(region[0], region[1] - region[0] + 1)
for way, size, rounds in (("refused", 65, 1), ("passed", 64, 256 if VARIANT == "x86_64" else 0)):
    seen.clear()
    with usercopy.attach(uc, PREPARED, on_violation=on_violation, snapshot=standing.guest) as attachment:
        decision = Decision.STOP
        for _ in range(rounds):
            attachment.reset()
            try:
                standing.run(size)
            except UcError:
                # The guest's own check needs the page, too.
                pass
        told = [note for note in attachment.notes if "no longer has the snapshot's memory at 0x" in note]
        out[f"taken away, {way}"] = [len(told), [one.missing is not None for one in seen], attachment.statistics.unreadable]
print(json.dumps(out))
