"""A Unicorn harness in Python with the check attached (ctypes; Debian: python3-unicorn).

    usercopy prepare examples/harness/firmware.yaml --symbol _copy_to_user=0x100000 -o attach.json
    python3 examples/harness/harness.py build/Release/libusercopy.so attach.json
"""
import ctypes
import sys

from unicorn import UC_ARCH_X86, UC_MODE_64, Uc
from unicorn.x86_const import UC_X86_REG_RDI, UC_X86_REG_RDX, UC_X86_REG_RIP, UC_X86_REG_RSI, UC_X86_REG_RSP

CODE, BUFFERS, USER, STACK, PAGE = 0x100000, 0x200000, 0x300000, 0x400000, 0x1000
# _copy_to_user(to, from, n): mov rcx, rdx; rep movsb; xor eax, eax; ret
COPY_TO_USER = bytes.fromhex("4889d1 f3a4 31c0 c3")
CONTINUE, STOP = 0, 1


class Violation(ctypes.Structure):
    """UsercopyViolation of native/harness.h."""

    _fields_ = [
        ("attachment", ctypes.c_void_p),
        ("user_data", ctypes.c_void_p),
        ("message", ctypes.c_char_p),
        ("region", ctypes.c_char_p),
        ("cache", ctypes.c_char_p),
        ("entry", ctypes.c_char_p),
        ("entry_address", ctypes.c_uint64),
        ("pointer", ctypes.c_uint64),
        ("size", ctypes.c_uint64),
        ("to_user", ctypes.c_int32),
        ("has_object", ctypes.c_int32),
        ("object_start", ctypes.c_uint64),
        ("object_end", ctypes.c_uint64),
        ("missing", ctypes.c_uint64),
    ]


Callback = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.POINTER(Violation))


@Callback
def on_violation(violation):
    seen = violation.contents
    print((seen.message or seen.region).decode())
    return STOP


def load(path):
    library = ctypes.CDLL(path)
    library.usercopy_attach.restype = ctypes.c_void_p
    library.usercopy_attach.argtypes = [ctypes.c_void_p, ctypes.c_char_p, Callback]
    library.usercopy_detach.argtypes = [ctypes.c_void_p]
    library.usercopy_error.restype = ctypes.c_char_p
    return library


def copy(uc, size):
    """Calls the function with so many bytes of the second buffer; where the run ended."""
    back, sp = CODE + PAGE - 16, STACK + PAGE - 64
    uc.reg_write(UC_X86_REG_RDI, USER)
    uc.reg_write(UC_X86_REG_RSI, BUFFERS + 64)
    uc.reg_write(UC_X86_REG_RDX, size)
    uc.reg_write(UC_X86_REG_RSP, sp)
    uc.mem_write(sp, back.to_bytes(8, "little"))
    uc.emu_start(CODE, back)
    return uc.reg_read(UC_X86_REG_RIP)


def main():
    library, scenario = load(sys.argv[1]), open(sys.argv[2], "rb").read()
    uc = Uc(UC_ARCH_X86, UC_MODE_64)
    for address in (CODE, BUFFERS, USER, STACK):
        uc.mem_map(address, PAGE)
    uc.mem_write(CODE, COPY_TO_USER)
    # The handle that Unicorn's own bindings keep.
    attachment = library.usercopy_attach(uc._uch, scenario, on_violation)
    if not attachment:
        sys.exit(library.usercopy_error().decode())
    for size in (64, 65):
        print(f"{size} bytes: ended at {copy(uc, size):#x}")
    library.usercopy_detach(attachment)


main()
