"""A Unicorn harness in Python with the check attached (`pip install ./python`; or PYTHONPATH=python).

    usercopy prepare examples/harness/firmware.yaml --symbol _copy_to_user=0x100000 -o attach.json
    python3 examples/harness/harness.py attach.json
"""
import sys

from unicorn import UC_ARCH_X86, UC_MODE_64, Uc
from unicorn.x86_const import UC_X86_REG_RDI, UC_X86_REG_RDX, UC_X86_REG_RIP, UC_X86_REG_RSI, UC_X86_REG_RSP

import usercopy

CODE, BUFFERS, USER, STACK, PAGE = 0x100000, 0x200000, 0x300000, 0x400000, 0x1000
BACK = CODE + PAGE - 16
# _copy_to_user(to, from, n): mov rcx, rdx; rep movsb; xor eax, eax; ret
COPY_TO_USER = bytes.fromhex("4889d1 f3a4 31c0 c3")


def on_violation(violation):
    print(violation.message or violation.region)
    return usercopy.Decision.STOP


def copy(uc, size):
    """Calls the function with so many bytes of the second buffer; where the run ended."""
    sp = STACK + PAGE - 64
    uc.reg_write(UC_X86_REG_RDI, USER)
    uc.reg_write(UC_X86_REG_RSI, BUFFERS + 64)
    uc.reg_write(UC_X86_REG_RDX, size)
    uc.reg_write(UC_X86_REG_RSP, sp)
    uc.mem_write(sp, BACK.to_bytes(8, "little"))
    uc.emu_start(CODE, BACK)
    return uc.reg_read(UC_X86_REG_RIP)


def main():
    uc = Uc(UC_ARCH_X86, UC_MODE_64)
    for address in (CODE, BUFFERS, USER, STACK):
        uc.mem_map(address, PAGE)
    uc.mem_write(CODE, COPY_TO_USER)
    try:
        with usercopy.attach(uc, sys.argv[1], on_violation=on_violation) as attachment:
            for size in (64, 65):
                print(f"{size} bytes: ended at {copy(uc, size):#x}")
            attachment.resume(BACK)
            print(f"going on all the same: ended at {uc.reg_read(UC_X86_REG_RIP):#x}")
            print(attachment.statistics)
    except usercopy.UsercopyError as error:
        sys.exit(str(error))


main()
