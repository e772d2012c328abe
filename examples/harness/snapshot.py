"""Goes on from a snapshot (`_index.json` and zlib files, as Unicorn's dumpers write them) with the check attached.

    python3 examples/harness/snapshot.py build/Release/libusercopy.so attach.json SNAPSHOT_FOLDER
"""
import ctypes
import json
import os
import sys
import zlib

import unicorn
from unicorn import UC_ARCH_X86, UC_MODE_64, UC_PROT_EXEC, UC_PROT_READ, UC_PROT_WRITE, Uc, x86_const

# The third word of UsercopyViolation (native/harness.h); harness.py has the whole structure.
MESSAGE = 2 * ctypes.sizeof(ctypes.c_void_p)
STOP = 1
Callback = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p)


@Callback
def on_violation(violation):
    message = ctypes.c_char_p.from_address(violation + MESSAGE).value
    print((message or b"cannot be judged").decode())
    return STOP


def word(value):
    return int(value, 0) if isinstance(value, str) else value


def restore(folder):
    with open(os.path.join(folder, "_index.json"), encoding="ascii") as file:
        index = json.load(file)
    uc = Uc(UC_ARCH_X86, UC_MODE_64)
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
    library = ctypes.CDLL(sys.argv[1])
    library.usercopy_attach.restype = ctypes.c_void_p
    library.usercopy_attach.argtypes = [ctypes.c_void_p, ctypes.c_char_p, Callback]
    library.usercopy_detach.argtypes = [ctypes.c_void_p]
    library.usercopy_error.restype = ctypes.c_char_p
    uc = restore(sys.argv[3])
    with open(sys.argv[2], "rb") as file:
        attachment = library.usercopy_attach(uc._uch, file.read(), on_violation)
    if not attachment:
        sys.exit(library.usercopy_error().decode())
    try:
        uc.emu_start(uc.reg_read(x86_const.UC_X86_REG_RIP), 0)
    except unicorn.UcError as error:
        sys.exit(f"the guest ended: {error}")
    library.usercopy_detach(attachment)


main()
