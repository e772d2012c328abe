"""Holds `usercopy.load_snapshot()` to what it says: prints one line a claim. Arguments: a prepared file, a snapshot's folder."""
import gc
import json
import os
import shutil
import sys
import tempfile
import zlib

from unicorn import UC_ARCH_ARM, UC_ARCH_ARM64, UC_ARCH_X86, UC_MODE_32, UC_MODE_64, UC_MODE_ARM, Uc
from unicorn.arm_const import UC_ARM_REG_CPSR, UC_ARM_REG_PC, UC_ARM_REG_R0
from unicorn.x86_const import (
    UC_X86_REG_EAX,
    UC_X86_REG_EFLAGS,
    UC_X86_REG_RAX,
    UC_X86_REG_RBX,
    UC_X86_REG_RDX,
    UC_X86_REG_RIP,
    UC_X86_REG_RSP,
    UC_X86_REG_XMM3,
)

import usercopy

PREPARED, FOLDER = sys.argv[1:]


def claim(name, holds):
    print(f"{name}: {'yes' if holds else 'NO'}")


def refusal(work):
    try:
        work()
        return ""
    except usercopy.UsercopyError as error:
        return str(error)


def runs():
    uc, seen = Uc(UC_ARCH_X86, UC_MODE_64), []
    guest = usercopy.load_snapshot(uc, FOLDER)
    begin, (until, _), (victim, end) = uc.reg_read(UC_X86_REG_RIP), guest.place("return_address"), guest.place("victim")
    user, _ = guest.place("user")
    claim("every register is known", guest.unknown_registers == [])
    claim("an object has its size", end - victim == 64)
    claim("what has no name is refused", "none of the name 'nowhere'" in refusal(lambda: guest.place("nowhere")))
    with usercopy.attach(uc, PREPARED, on_violation=seen.append) as attachment:
        claim("the prepared file has the function", attachment.symbol("do_copy") == begin)
        claim("and no other", "none of the name 'do_nothing'" in refusal(lambda: attachment.symbol("do_nothing")))
        for _ in range(3):
            uc.emu_start(begin, until)
            guest.restore()
            attachment.reset()
        expected = "usercopy: Kernel memory exposure attempt detected from SLUB object 'kmalloc-64' (offset 0, size 65)!"
        claim("the copy is refused, round after round", [one.message for one in seen] == [expected] * 3)
        claim("by its caller", seen[0].caller.symbol == "do_copy" and seen[0].title == "BUG: bad usercopy in do_copy")
        uc.mem_write(victim, b"marked")
        uc.reg_write(UC_X86_REG_RDX, 64)
        uc.emu_start(begin, until)
        claim("a good one is made", len(seen) == 3 and uc.mem_read(user, 6) == b"marked")
        guest.restore()
        claim("memory is put back", uc.mem_read(victim, 6) != b"marked" and uc.mem_read(user, 6) == bytes(6))
        claim("and registers are", uc.reg_read(UC_X86_REG_RDX) == 65 and uc.reg_read(UC_X86_REG_RIP) == begin)
        # The image lies in RAM, which the linear map shows too.
        uc.mem_write(IMAGE, b"seen twice")
        claim("two views are one memory", uc.mem_read(LINEAR, 10) == b"seen twice")
    stack = uc.reg_read(UC_X86_REG_RSP)
    del guest
    gc.collect()
    claim("the memory lives as long as the emulator", len(uc.mem_read(stack, 8)) == 8)


with open(os.path.join(FOLDER, "_index.json"), encoding="utf-8") as file:
    INDEX = json.load(file)
shared = sorted(INDEX["segments"], key=lambda segment: segment["end"] - segment["start"])
whole = shared[-1]
part = next(s for s in shared if s is not whole and s["usercopy_memory"] < whole["end"] - whole["start"])
IMAGE = part["start"]
LINEAR = whole["start"] + part["usercopy_memory"] - whole["usercopy_memory"]


def bad_files():
    with tempfile.TemporaryDirectory() as folder:
        for segment in INDEX["segments"]:
            shutil.copy(os.path.join(FOLDER, segment["content_file"]), folder)

        def load(index):
            with open(os.path.join(folder, "_index.json"), "w", encoding="utf-8") as file:
                file.write(index if isinstance(index, str) else json.dumps(index))
            return refusal(lambda: usercopy.load_snapshot(Uc(UC_ARCH_X86, UC_MODE_64), folder))

        def changed(**change):
            return load({**INDEX, "segments": [{**INDEX["segments"][0], **change}, *INDEX["segments"][1:]]})

        first = INDEX["segments"][0]
        claim("an unchanged copy loads", load(INDEX) == "")
        claim("so does one with texts for numbers", changed(start=hex(first["start"])) == "")
        claim("no JSON", "expected JSON" in load("no json"))
        claim("no list", "_index.json.segments: expected an array" in load({"segments": {}}))
        claim("no segment", "one segment at least" in load({"segments": []}))
        claim("half a page", "whole pages" in changed(end=first["end"] - 1))
        claim("end before start", "whole pages" in changed(end=0))
        claim("too large", "at most 1 GiB" in changed(start=0, end=1 << 40))
        claim("another folder", "own folder" in changed(content_file=".."))
        claim("a file that is not there", "can be read" in changed(content_file="x"))
        claim("another size", "zlib's format" in changed(end=first["end"] + 4096, usercopy_memory=0))
        claim("a number that is none", "a number of 64 bits" in changed(start="0xz"))
        claim("memory at half a page", "whole pages within 4 GiB" in changed(usercopy_memory=7))
        claim("a register that is no number", "a number of 64 bits" in load({**INDEX, "regs": {"rax": []}}))
        claim("a place that is none", "[start, end)" in load({**INDEX, "usercopy": {"places": {"a": [1]}}}))
        with open(os.path.join(folder, first["content_file"]), "wb") as file:
            file.write(b"not zlib")
        claim("bytes that are not zlib's", "zlib's format" in load(INDEX))
    claim("no folder", "can be read" in refusal(lambda: usercopy.load_snapshot(Uc(UC_ARCH_X86, UC_MODE_64), "/nowhere")))
    claim("no emulator", "expected a unicorn.Uc" in refusal(lambda: usercopy.load_snapshot(object(), FOLDER)))


def small(folder, index, code, address=0x10000):
    """A guest of one page that begins with `code`."""
    page = {"start": address, "end": address + 4096, "permissions": {"r": True, "w": True, "x": True}, "content_file": "page"}
    with open(os.path.join(folder, "page"), "wb") as file:
        file.write(zlib.compress(code.ljust(4096, b"\0")))
    with open(os.path.join(folder, "_index.json"), "w", encoding="utf-8") as file:
        json.dump({"segments": [page], **index}, file)
    return folder


def machines():
    x64 = {"arch": {"arch": "x64"}, "regs": {"rip": 0x10000, "rsp": 0x10800, "rbx": 7}}
    with tempfile.TemporaryDirectory() as folder:
        # std; mov rbx, 99; movq xmm3, rbx; mov byte [0x10201], 2; jmp 0x10200. There: mov eax, 1; jmp 0x10300.
        code = bytes.fromhex("fd48c7c36300000066480f6edbc6042501020100" + "02")
        code += b"\xe9" + (0x200 - len(code) - 5).to_bytes(4, "little")
        code = code.ljust(0x200, b"\x90") + bytes.fromhex("b801000000e9f6000000")
        uc = Uc(UC_ARCH_X86, UC_MODE_64)
        guest = usercopy.load_snapshot(uc, small(folder, x64, code))
        state = (UC_X86_REG_EFLAGS, UC_X86_REG_RBX, UC_X86_REG_XMM3, UC_X86_REG_RIP)
        before = [uc.reg_read(register) for register in state]
        uc.emu_start(0x10200, 0x10300)
        answers = [uc.reg_read(UC_X86_REG_RAX)]
        for _ in range(2):
            uc.emu_start(0x10000, 0x10300)
            answers.append(uc.reg_read(UC_X86_REG_RAX))
            changed = [uc.reg_read(register) for register in state]
            guest.restore()
            claim("the guest changes its state", all(one != other for one, other in zip(before, changed)))
            claim("the whole CPU is put back", [uc.reg_read(register) for register in state] == before)
            uc.emu_start(0x10200, 0x10300)
            answers.append(uc.reg_read(UC_X86_REG_RAX))
        claim("code that was changed is translated anew", answers == [1, 2, 1, 2, 1])

        claim("another architecture", "an emulator of x64" in refusal(lambda: usercopy.load_snapshot(Uc(UC_ARCH_ARM64, UC_MODE_ARM), folder)))
        claim("another width", "an emulator of x64" in refusal(lambda: usercopy.load_snapshot(Uc(UC_ARCH_X86, UC_MODE_32), folder)))
        uc.mem_write(0x10000, b"still mine")
        claim("a second one does not fit", "room for 4096 bytes" in refusal(lambda: usercopy.load_snapshot(uc, folder)))

        # Thumb: movs r0, #5. An even pc.
        arm = {"arch": {"arch": "armle"}, "regs": {"pc": 0x10000, "cpsr": 0x1F3, "sp": 0x10800}}
        uc = Uc(UC_ARCH_ARM, UC_MODE_ARM)
        usercopy.load_snapshot(uc, small(folder, arm, bytes.fromhex("05200000")))
        claim("Thumb's state is kept", uc.reg_read(UC_ARM_REG_CPSR) & 0x20 != 0 and uc.reg_read(UC_ARM_REG_PC) == 0x10000)
        uc.emu_start(uc.reg_read(UC_ARM_REG_PC) | 1, 0x10002)
        claim("and its code runs", uc.reg_read(UC_ARM_REG_R0) == 5)

        # The last page that 32 bits reach: mov al, 1; hlt. Its first byte is changed from outside.
        x86 = {"arch": {"arch": "x86"}, "regs": {"eip": 0xFFFFF000}}
        uc = Uc(UC_ARCH_X86, UC_MODE_32)
        guest = usercopy.load_snapshot(uc, small(folder, x86, bytes.fromhex("b001c60500f0fffffff4"), 0xFFFFF000))
        uc.emu_start(0xFFFFF000, 0xFFFFF009)
        guest.restore()
        uc.emu_start(0xFFFFF000, 0xFFFFF009)
        claim("the last page of an address space", uc.reg_read(UC_X86_REG_EAX) & 0xFF == 1)


def garbage():
    """Emulator, guest and attachment become garbage in whatever order: nothing is read after it was freed."""
    for is_cycle in (False, True):
        seen = []
        uc = Uc(UC_ARCH_X86, UC_MODE_64)
        attachment = usercopy.attach(uc, PREPARED, on_violation=seen.append, audit=True)
        guest = usercopy.load_snapshot(uc, FOLDER)
        uc.emu_start(uc.reg_read(UC_X86_REG_RIP), guest.place("return_address")[0])
        if is_cycle:
            uc.mine = (attachment, guest)
        del attachment, guest, uc
        gc.collect()
        claim("what an audit noted is judged before the memory goes", len(seen) == 1)


runs()
machines()
garbage()
bad_files()
