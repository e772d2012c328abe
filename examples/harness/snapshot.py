"""Goes on from a guest that was written down, with the check attached.

    usercopy run --kernel vmlinuz --snapshot guest --call '_copy_to_user(user, kmalloc_64, 65)'
    usercopy prepare --kernel vmlinuz --snapshot guest -o attach.json
    python3 examples/harness/snapshot.py attach.json guest
"""
import sys

from unicorn import UC_ARCH_X86, UC_MODE_64, Uc
from unicorn.x86_const import UC_X86_REG_RIP

import usercopy


def on_violation(violation):
    print(violation.message or "cannot be judged")
    return usercopy.Decision.STOP


def main():
    prepared, folder = sys.argv[1:]
    uc = Uc(UC_ARCH_X86, UC_MODE_64)
    try:
        guest = usercopy.load_snapshot(uc, folder)
        with usercopy.attach(uc, prepared, on_violation=on_violation):
            uc.emu_start(uc.reg_read(UC_X86_REG_RIP), guest.place("return_address")[0])
    except usercopy.UsercopyError as error:
        sys.exit(str(error))


main()
