"""Holds `usercopy.load_snapshot()` to what it says: prints one line a claim. Arguments: a prepared file, a snapshot's folder."""
import gc
import json
import os
import shutil
import sys
import tempfile

from unicorn import UC_ARCH_X86, UC_MODE_64, Uc
from unicorn.x86_const import UC_X86_REG_RDX, UC_X86_REG_RIP, UC_X86_REG_RSP

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
        claim("no JSON", "expected JSON with a list of segments" in load("no json"))
        claim("no list", "expected JSON with a list of segments" in load({"segments": {}}))
        claim("no segment", "one segment at least" in load({"segments": []}))
        claim("half a page", "whole pages" in changed(end=first["end"] - 1))
        claim("end before start", "whole pages" in changed(end=0))
        claim("too large", "at most 1 GiB" in changed(start=0, end=1 << 40))
        claim("another folder", "own folder" in changed(content_file="../x"))
        claim("a file that is not there", "can be read" in changed(content_file="x"))
        claim("another size", "zlib's format" in changed(end=first["end"] + 4096, usercopy_memory=0))
        claim("a number that is none", "a number of 64 bits" in changed(start="0xz"))
        claim("memory at half a page", "whole pages within 4 GiB" in changed(usercopy_memory=7))
        claim("a register that is no number", "numbers of 64 bits" in load({**INDEX, "regs": {"rax": []}}))
        claim("a place that is none", "[start, end)" in load({**INDEX, "usercopy": {"places": {"a": [1]}}}))
        with open(os.path.join(folder, first["content_file"]), "wb") as file:
            file.write(b"not zlib")
        claim("bytes that are not zlib's", "zlib's format" in load(INDEX))
    claim("no folder", "can be read" in refusal(lambda: usercopy.load_snapshot(Uc(UC_ARCH_X86, UC_MODE_64), "/nowhere")))
    claim("no emulator", "expected a unicorn.Uc" in refusal(lambda: usercopy.load_snapshot(object(), FOLDER)))


runs()
bad_files()
