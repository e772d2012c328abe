"""What the check costs a harness in Python, as measure.c has it: asking libunicorn for memory, and reading it in place.

Arguments: attach.json FOLDER EXECUTIONS [WAY]. With `without`, `asking` or `in-place` there is nothing but so many executions: somebody counts their
instructions.
"""
import json
import statistics
import sys
import time

from unicorn import UC_ARCH_X86, UC_HOOK_CODE, UC_MODE_64, Uc
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

FUNCTION, ROUNDS, BYTES, WARM_UP = "simple_read_from_buffer", 10, 64, 200
WAYS = ("without", "asking", "in-place")


class Machine:
    """simple_read_from_buffer(user, 64, &position, object, 64), as a harness calls it."""

    def __init__(self, prepared, folder, in_place=False):
        self.uc = Uc(UC_ARCH_X86, UC_MODE_64)
        self.guest = usercopy.load_snapshot(self.uc, folder)
        self.attachment = usercopy.attach(self.uc, prepared, snapshot=self.guest if in_place else None)
        self.function = self.attachment.symbol(FUNCTION)
        user, obj, self.scratch = (self.guest.place(name)[0] for name in ("user", "kmalloc_64", "scratch"))
        self.back = self.guest.place("return_address")[0]
        self.sp = self.guest.place("stack")[1] - 1024 - 8
        self.stacked = self.back.to_bytes(8, "little")
        self.registers = (
            (UC_X86_REG_RDI, user),
            (UC_X86_REG_RSI, BYTES),
            (UC_X86_REG_RDX, self.scratch),
            (UC_X86_REG_RCX, obj),
            (UC_X86_REG_R8, BYTES),
            (UC_X86_REG_RSP, self.sp),
        )

    def execute(self):
        uc = self.uc
        for register, value in self.registers:
            uc.reg_write(register, value)
        uc.mem_write(self.sp, self.stacked)
        uc.mem_write(self.scratch, bytes(8))
        if self.attachment is not None:
            self.attachment.reset()
        uc.emu_start(self.function, self.back)
        if uc.reg_read(UC_X86_REG_RAX) != BYTES:
            sys.exit("measure: the function returned something else")

    def time(self, executions):
        """Nanoseconds of the processor an execution."""
        before = time.process_time_ns()
        for _ in range(executions):
            self.execute()
        return (time.process_time_ns() - before) / executions


def run_alone(prepared, folder, executions, way):
    if way not in WAYS:
        sys.exit(f"measure: expected one of {', '.join(WAYS)}, found {way}")
    machine = Machine(prepared, folder, in_place=way == "in-place")
    if way == "without":
        machine.attachment.detach()
        machine.attachment = None
    for _ in range(executions):
        machine.execute()


def main():
    prepared, folder, executions = sys.argv[1], sys.argv[2], int(sys.argv[3])
    if len(sys.argv) == 5:
        run_alone(prepared, folder, executions, sys.argv[4])
        return
    counted, bare, checked = (Machine(prepared, folder) for _ in range(3))
    in_place = Machine(prepared, folder, in_place=True)
    for machine in (counted, bare):
        machine.attachment.detach()
        machine.attachment = None
    seen = []
    counted.uc.hook_add(UC_HOOK_CODE, lambda *_: seen.append(1))
    counted.execute()
    before = checked.attachment.statistics.checks
    checked.execute()
    copies = checked.attachment.statistics.checks - before
    ways = (bare, checked, in_place)
    for machine in ways:
        machine.time(WARM_UP)
    times = [[machine.time(executions) for machine in ways] for _ in range(ROUNDS)]
    without, with_check, in_place_ns = (statistics.median(column) for column in zip(*times))
    cost, in_place_cost = (statistics.median(row[way] / row[0] - 1 for row in times) for way in (1, 2))
    result = {
        "language": "Python",
        "function": FUNCTION,
        "instructions": len(seen),
        "copies": copies,
        "executions": executions,
        "rounds": ROUNDS,
        "withoutNs": round(without, 1),
        "withNs": round(with_check, 1),
        "withPercent": round(cost * 100, 1),
        "inPlaceNs": round(in_place_ns, 1),
        "inPlacePercent": round(in_place_cost * 100, 1),
    }
    print(json.dumps(result))
    checked.attachment.detach()
    in_place.attachment.detach()


main()
