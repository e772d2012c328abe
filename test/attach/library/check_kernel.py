"""A harness that maps a real kernel's pages one by one, when they are asked for: prints one line a claim.

Arguments: a prepared file, a snapshot's folder.
"""
import json
import os
import sys
import zlib

import unicorn
from unicorn import UC_ARCH_X86, UC_HOOK_MEM_UNMAPPED, UC_MODE_64, Uc
from unicorn.x86_const import (
    UC_X86_REG_GS_BASE,
    UC_X86_REG_R8,
    UC_X86_REG_RAX,
    UC_X86_REG_RCX,
    UC_X86_REG_RDI,
    UC_X86_REG_RDX,
    UC_X86_REG_RSI,
    UC_X86_REG_RSP,
)

import usercopy
from usercopy import Decision, Outcome

PREPARED, FOLDER = sys.argv[1:]
PAGE, EFAULT = 4096, 14
with open(os.path.join(FOLDER, "_index.json"), encoding="utf-8") as index:
    INDEX = json.load(index)
PLACES = {name: start for name, (start, _end) in INDEX["usercopy"]["places"].items()}
SEGMENTS = []
for segment in INDEX["segments"]:
    with open(os.path.join(FOLDER, segment["content_file"]), "rb") as content:
        SEGMENTS.append((segment["start"], segment["end"], zlib.decompress(content.read())))
STACK_END = INDEX["usercopy"]["places"]["stack"][1]


def claim(name, holds):
    print(f"{name}: {'yes' if holds else 'NO'}")


def page_of(address):
    address &= ~(PAGE - 1)
    for start, end, content in SEGMENTS:
        if start <= address < end:
            return address, content[address - start : address - start + PAGE]
    return address, None


class Harness:
    def __init__(self):
        self.uc = Uc(UC_ARCH_X86, UC_MODE_64)
        # From 2.1 on kernel addresses would be cut to the width of physical ones.
        if hasattr(self.uc, "ctl_tlb_mode"):
            self.uc.ctl_tlb_mode(unicorn.UC_TLB_VIRTUAL)
        self.uc.reg_write(UC_X86_REG_GS_BASE, INDEX["regs"]["gs_base"])
        self.uc.hook_add(UC_HOOK_MEM_UNMAPPED, lambda _uc, _kind, address, _size, _value, _data: self.bring(address))

    def bring(self, address):
        address, content = page_of(address)
        if content is None:
            return False
        self.uc.mem_map(address, PAGE)
        self.uc.mem_write(address, content)
        return True

    def read(self, function, size):
        """simple_read_from_buffer(user, size, &position, kmalloc_64, size), signed."""
        sp, back = STACK_END - 1024 - 8, PLACES["return_address"]
        for address in (sp, back, PLACES["scratch"]):
            if address & ~(PAGE - 1) not in [start for start, _end, _granted in self.uc.mem_regions()]:
                self.bring(address)
        arguments = (PLACES["user"], size, PLACES["scratch"], PLACES["kmalloc_64"], size)
        registers = (UC_X86_REG_RDI, UC_X86_REG_RSI, UC_X86_REG_RDX, UC_X86_REG_RCX, UC_X86_REG_R8)
        for register, value in zip(registers, arguments):
            self.uc.reg_write(register, value)
        self.uc.reg_write(UC_X86_REG_RSP, sp)
        self.uc.mem_write(sp, back.to_bytes(8, "little"))
        self.uc.mem_write(PLACES["scratch"], bytes(8))
        self.uc.emu_start(function, back)
        value = self.uc.reg_read(UC_X86_REG_RAX)
        return value - (1 << 64) if value >> 63 else value


def main():
    harness, asked, seen, answer = Harness(), [], [], Decision.FAIL

    def on_missing(address):
        asked.append(address)
        return harness.bring(address)

    def on_violation(violation):
        seen.append(violation)
        return answer

    with usercopy.attach(harness.uc, PREPARED, on_violation=on_violation, on_missing=on_missing) as attachment:
        function = attachment.symbol("simple_read_from_buffer")
        claim("a good copy is made", harness.read(function, 64) == 64 and not seen)
        claim("pages that the check needed were asked for", len(asked) > 0)
        vmemmap = [address for address in asked if address >> 32 == 0xFFFFEA00]
        claim("the struct page among them", len(vmemmap) > 0)
        claim("each once", len(asked) == len(set(asked)))
        claim("and the copy was counted once", (attachment.statistics.checks, attachment.statistics.unreadable) == (1, 0))
        claim("a bad one fails as after -EFAULT", harness.read(function, 65) == -EFAULT and len(seen) == 1)
        claim("and the next is judged", harness.read(function, 64) == 64 and harness.read(function, 66) == -EFAULT)
        one = seen[0]
        claim("its title", one.title == "BUG: bad usercopy in simple_read_from_buffer")
        claim("its caller", one.caller.symbol == "simple_read_from_buffer" and one.caller.offset > 0)
        names = [frame.symbol for frame in one.backtrace]
        claim("its backtrace", names[0] == "simple_read_from_buffer" and one.backtrace_method == "stack scan")
        claim("the kernel judges it too", one.kernel_judges is True)
        claim("its message", "from SLUB object 'kmalloc-64' (offset 0, size 65)" in one.message)
        claim("its object", one.cache == "kmalloc-64" and one.object == (PLACES["kmalloc_64"], PLACES["kmalloc_64"] + 64))
    blind = Harness()
    with usercopy.attach(blind.uc, PREPARED, on_violation=seen.append, on_missing=lambda _address: True) as attachment:
        blind.read(function, 64)
        claim("a page that is said to be there and is not ends the asking", attachment.statistics.unreadable == 1)
        claim("and is told", seen[-1].outcome is Outcome.UNREADABLE and seen[-1].message is None)


main()
