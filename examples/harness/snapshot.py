"""Goes on from a snapshot (`_index.json` and zlib files, as Unicorn's dumpers write them) with the check attached.

    python3 examples/harness/snapshot.py attach.json SNAPSHOT_FOLDER
"""
import json
import os
import sys
import zlib

import unicorn
from unicorn import UC_ARCH_X86, UC_MODE_64, UC_PROT_EXEC, UC_PROT_READ, UC_PROT_WRITE, Uc, x86_const

import usercopy


def on_violation(violation):
    print(violation.message or "cannot be judged")
    return usercopy.Decision.STOP


def word(value):
    return int(value, 0) if isinstance(value, str) else value


def restore(folder):
    with open(os.path.join(folder, "_index.json"), encoding="ascii") as file:
        index = json.load(file)
    uc = Uc(UC_ARCH_X86, UC_MODE_64)
    # From 2.1 on kernel addresses would be cut to the width of physical ones.
    if hasattr(uc, "ctl_tlb_mode"):
        uc.ctl_tlb_mode(unicorn.UC_TLB_VIRTUAL)
    letters = {"r": UC_PROT_READ, "w": UC_PROT_WRITE, "x": UC_PROT_EXEC}
    for segment in index["segments"]:
        start, end = word(segment["start"]), word(segment["end"])
        granted = sum(bit for letter, bit in letters.items() if segment["permissions"][letter])
        uc.mem_map(start, end - start, granted)
        if segment["content_file"]:
            with open(os.path.join(folder, segment["content_file"]), "rb") as file:
                uc.mem_write(start, zlib.decompress(file.read()))
    for name, value in index["regs"].items():
        register = getattr(x86_const, f"UC_X86_REG_{name.upper()}", None)
        if register is not None:
            uc.reg_write(register, word(value))
    return uc


def main():
    uc = restore(sys.argv[2])
    try:
        with usercopy.attach(uc, sys.argv[1], on_violation=on_violation):
            uc.emu_start(uc.reg_read(x86_const.UC_X86_REG_RIP), 0)
    except usercopy.UsercopyError as error:
        sys.exit(str(error))
    except unicorn.UcError as error:
        sys.exit(f"the guest ended: {error}")


main()
