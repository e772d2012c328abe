"""Loads each snapshot of the arguments into an emulator of x86_64; prints a line of JSON each: what it has, or why not."""
import json
import sys

from unicorn import UC_ARCH_X86, UC_MODE_64, Uc
from unicorn.x86_const import UC_X86_REG_RAX, UC_X86_REG_RIP

import usercopy

PAGE = 4096


def loaded(folder):
    uc = Uc(UC_ARCH_X86, UC_MODE_64)
    try:
        guest = usercopy.load_snapshot(uc, folder)
    except usercopy.UsercopyError as error:
        return {"error": str(error)}
    pages = sorted(page for start, end, _ in uc.mem_regions() for page in range(start, end + 1, PAGE))
    return {
        "pages": {hex(page): uc.mem_read(page, 8).hex() for page in pages},
        "registers": [hex(uc.reg_read(register)) for register in (UC_X86_REG_RAX, UC_X86_REG_RIP)],
        "unknown": sorted(guest.unknown_registers),
    }


for argument in sys.argv[1:]:
    print(json.dumps(loaded(argument)))
