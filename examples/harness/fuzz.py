"""The harness of fuzz.c in Python: a length out of a text, and so many bytes of an object of 1024 given to the user.

    usercopy run --kernel vmlinuz --snapshot guest
    usercopy prepare --kernel vmlinuz --snapshot guest -o attach.json
    cc -shared -o afl.so /usr/lib/afl/afl-compiler-rt.o
    mkdir in && printf 7 > in/seed
    AFL_SKIP_BIN_CHECK=1 __AFL_DEFER_FORKSRV=1 __AFL_PERSISTENT=1 AFL_RUNTIME=./afl.so \\
        afl-fuzz -i in -o out -- python3 fuzz.py attach.json guest
    python3 fuzz.py attach.json guest out/default/crashes/id*     # says what it was
"""
import ctypes
import os
import sys

from unicorn import UC_ARCH_X86, UC_HOOK_BLOCK, UC_MODE_64, Uc, UcError
from unicorn.x86_const import (
    UC_X86_REG_R8,
    UC_X86_REG_RAX,
    UC_X86_REG_RCX,
    UC_X86_REG_RDI,
    UC_X86_REG_RDX,
    UC_X86_REG_RSI,
    UC_X86_REG_RSP,
)

import usercopy

ROUNDS, MAP_SIZE, MOST_INPUT, READ_SIZE = 1000, 1 << 16, 64, 65536
ARGUMENTS = (UC_X86_REG_RDI, UC_X86_REG_RSI, UC_X86_REG_RDX, UC_X86_REG_RCX, UC_X86_REG_R8)


class Harness:
    def __init__(self, prepared, folder):
        self.uc = Uc(UC_ARCH_X86, UC_MODE_64)
        self.guest = usercopy.load_snapshot(self.uc, folder)
        crash = usercopy.Decision.CRASH
        self.attachment = usercopy.attach(self.uc, prepared, on_violation=lambda _: crash, snapshot=self.guest)
        self.strtoul = self.attachment.symbol("simple_strtoul")
        self.read = self.attachment.symbol("simple_read_from_buffer")
        names = ("user", "kmalloc_1024", "scratch", "return_address")
        self.user, self.object, self.scratch, self.back = (self.guest.place(name)[0] for name in names)
        self.sp = self.guest.place("stack")[1] - 1024 - 8

    def call(self, function, *arguments):
        for register, value in zip(ARGUMENTS, arguments):
            self.uc.reg_write(register, value)
        self.uc.reg_write(UC_X86_REG_RSP, self.sp)
        self.uc.mem_write(self.sp, self.back.to_bytes(8, "little"))
        self.uc.emu_start(function, self.back)
        return self.uc.reg_read(UC_X86_REG_RAX)

    def run(self, data):
        """One input. Raises UcError when a copy is refused, or the guest ends otherwise."""
        position = self.scratch + MOST_INPUT + 8
        self.uc.mem_write(self.scratch, data[:MOST_INPUT].ljust(MOST_INPUT + 8, b"\0"))
        self.uc.mem_write(position, bytes(8))
        self.attachment.reset()
        length = self.call(self.strtoul, self.scratch, 0, 10)
        self.call(self.read, self.user, READ_SIZE, position, self.object, length)


def fuzz(harness):
    """AFL++'s fork server and persistent loop, out of its own run time."""
    afl = ctypes.CDLL(os.environ.get("AFL_RUNTIME", "./afl.so"))
    ctypes.c_int.in_dll(afl, "__afl_sharedmem_fuzzing").value = 1
    state = {"area": None, "previous": 0}

    def on_block(_uc, address, _size, _data):
        here = (address >> 4 ^ address << 8) & (MAP_SIZE - 1)
        edge = here ^ state["previous"]
        state["area"][edge] = (state["area"][edge] + 1) & 0xFF
        state["previous"] = here >> 1

    # What is translated now need not be translated in every child.
    state["area"] = bytearray(MAP_SIZE)
    harness.uc.hook_add(UC_HOOK_BLOCK, on_block)
    harness.run(b"7")
    afl.__getattr__("__afl_manual_init")()
    area = ctypes.c_void_p.in_dll(afl, "__afl_area_ptr").value
    state["area"] = (ctypes.c_ubyte * MAP_SIZE).from_address(area)
    loop = afl.__getattr__("__afl_persistent_loop")
    while loop(ROUNDS):
        state["previous"] = 0
        start = ctypes.c_void_p.in_dll(afl, "__afl_fuzz_ptr").value
        size = ctypes.POINTER(ctypes.c_uint32).in_dll(afl, "__afl_fuzz_len").contents.value
        try:
            harness.run(ctypes.string_at(start, size))
        except UcError:
            # AFL sees a crash.
            os.abort()


def main():
    if len(sys.argv) not in (3, 4):
        sys.exit("expected attach.json FOLDER [INPUT]")
    try:
        harness = Harness(sys.argv[1], sys.argv[2])
    except usercopy.UsercopyError as error:
        sys.exit(str(error))
    if len(sys.argv) == 3:
        fuzz(harness)
        return
    with open(sys.argv[3], "rb") as file:
        data = file.read()
    try:
        harness.run(data)
        print("nothing was refused")
    except UcError as error:
        violation = harness.attachment.last_violation
        if violation is None:
            sys.exit(f"the guest ended: {error}")
        print(violation.title, violation.message, *violation.explanation, sep="\n")
        sys.exit(1)


main()
