"""For harnesses that load a guest of any variant: its emulator, and the registers that a test sets and reads."""
from typing import NamedTuple

from unicorn import (
    UC_ARCH_ARM,
    UC_ARCH_ARM64,
    UC_ARCH_PPC,
    UC_ARCH_RISCV,
    UC_ARCH_S390X,
    UC_ARCH_SPARC,
    UC_ARCH_X86,
    UC_MODE_32,
    UC_MODE_64,
    UC_MODE_ARM,
    UC_MODE_BIG_ENDIAN,
    UC_MODE_PPC64,
    UC_MODE_RISCV64,
    UC_MODE_SPARC32,
    UC_MODE_SPARC64,
    Uc,
    arm64_const,
    arm_const,
    ppc_const,
    riscv_const,
    s390x_const,
    sparc_const,
    x86_const,
)

import usercopy


class Machine(NamedTuple):
    arch: int
    mode: int
    pc: int
    #: Of a call's second argument, and of what it returns.
    second: int
    value: int
    bits: int


_PPC = (ppc_const.UC_PPC_REG_PC, ppc_const.UC_PPC_REG_4, ppc_const.UC_PPC_REG_3)
MACHINES = {
    "x86_64": Machine(UC_ARCH_X86, UC_MODE_64, x86_const.UC_X86_REG_RIP, x86_const.UC_X86_REG_RSI, x86_const.UC_X86_REG_RAX, 64),
    "i386": Machine(UC_ARCH_X86, UC_MODE_32, x86_const.UC_X86_REG_EIP, x86_const.UC_X86_REG_EDX, x86_const.UC_X86_REG_EAX, 32),
    "arm": Machine(UC_ARCH_ARM, UC_MODE_ARM, arm_const.UC_ARM_REG_PC, arm_const.UC_ARM_REG_R1, arm_const.UC_ARM_REG_R0, 32),
    "arm64": Machine(UC_ARCH_ARM64, UC_MODE_ARM, arm64_const.UC_ARM64_REG_PC, arm64_const.UC_ARM64_REG_X1, arm64_const.UC_ARM64_REG_X0, 64),
    "ppc64le": Machine(UC_ARCH_PPC, UC_MODE_PPC64 | UC_MODE_BIG_ENDIAN, *_PPC, 64),
    "s390x": Machine(UC_ARCH_S390X, UC_MODE_BIG_ENDIAN, s390x_const.UC_S390X_REG_PC, s390x_const.UC_S390X_REG_R3, s390x_const.UC_S390X_REG_R2, 64),
    "sparc": Machine(UC_ARCH_SPARC, UC_MODE_SPARC32 | UC_MODE_BIG_ENDIAN, sparc_const.UC_SPARC_REG_PC, sparc_const.UC_SPARC_REG_O1, sparc_const.UC_SPARC_REG_O0, 32),
    "sparc64": Machine(UC_ARCH_SPARC, UC_MODE_SPARC64 | UC_MODE_BIG_ENDIAN, sparc_const.UC_SPARC_REG_PC, sparc_const.UC_SPARC_REG_O1, sparc_const.UC_SPARC_REG_O0, 64),
    "riscv64": Machine(UC_ARCH_RISCV, UC_MODE_RISCV64, riscv_const.UC_RISCV_REG_PC, riscv_const.UC_RISCV_REG_A1, riscv_const.UC_RISCV_REG_A0, 64),
}


class Standing:
    """A guest that was written down at a function's first instruction."""

    def __init__(self, variant, folder):
        self.machine = MACHINES[variant]
        self.uc = Uc(self.machine.arch, self.machine.mode)
        self.guest = usercopy.load_snapshot(self.uc, folder)
        self.begin = self.uc.reg_read(self.machine.pc)
        self.until, _ = self.guest.place("return_address")

    def run(self, second):
        """The call with another second argument, from where it was written down; what it returns, signed."""
        self.guest.restore()
        self.uc.reg_write(self.machine.second, second)
        self.uc.emu_start(self.begin, self.until)
        value = self.uc.reg_read(self.machine.value)
        return value - (1 << self.machine.bits) if value >> (self.machine.bits - 1) else value

    @property
    def has_returned(self):
        return self.uc.reg_read(self.machine.pc) == self.until
