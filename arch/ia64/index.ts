/**
 * ia64: Itanium, in Linux until cf8e8658100d (6.7). Unicorn has no such target, so nothing runs: what is here serves
 * reports, dumps, and kernel images that are only read.
 */
import { threadSizeOf, unlinkedFrames } from '../common.js';
import type { ArchDriver, Variant } from '../driver.js';
import { ia64Dump } from './dump.js';
import { layoutWith, pageShiftOf } from './layout.js';

const KIB = 1024n;

const named = (prefix: string, from: number, to: number): string[] =>
  Array.from({ length: to - from + 1 }, (_, index) => `${prefix}${from + index}`);

export const ia64Variant: Variant = {
  name: 'ia64',
  bits: 64,
  endian: 'little',
  elfMachine: 50,
  // R_IA64_REL64LSB
  relativeRelocation: 0x6f,
  pageShifts: [14, 13, 16, 12],
  engine: { unsupported: 'Unicorn has no IA-64 target' },
  note: 'reports and dumps only, nothing runs: Unicorn has no IA-64 target; no real dump was to be had',
  registers: {
    pc: 'ip',
    sp: 'r12',
    // The register stack engine keeps frames; there is no register for them.
    fp: 'r12',
    link: 'b0',
    // The first stacked registers of a function are its arguments.
    arguments: named('r', 32, 39),
    returnValue: 'r8',
    // As show_regs() prints them (arch/ia64/kernel/process.c).
    all: [
      ...['psr', 'ifs', 'ip', 'unat', 'pfs', 'rsc', 'rnat', 'bsps', 'pr', 'ldrs', 'ccv', 'fpsr', 'csd', 'ssd'],
      ...['b0', 'b6', 'b7'],
      ...named('f', 6, 11),
      ...named('r', 1, 3),
      ...named('r', 8, 31),
    ],
  },
  // A scratch area of 16 bytes lies above the stack pointer.
  call: { stackAlignment: 16, reservedBytes: 16, pushesReturnAddress: false },
  // The task_struct lies at the bottom of its own stack: task_stack_page(task) is the task.
  current: { kind: 'register', register: 'r13' },
  // Unwinding needs the tables in .IA_64.unwind.
  frames: unlinkedFrames,
  // No jump labels: static keys are plain variables.
  staticBranch: {
    relativeEntries: () => false,
    jump: (_code, _target, existing) => existing,
    nop: (existing) => existing,
  },
  // Bundles are not decoded: which functions are called is not known.
  directBranch: { step: 16, target: () => null },
  hasCurrentStackPointer: false,
  // break 0, as __builtin_trap() compiles to: the Break Instruction vector (0x2c00), printed as "bugcheck! 0".
  bug: { kind: 'interrupt', number: 11 },
  dump: ia64Dump,
  debianKernel: null,
  uaccess: [
    { symbol: '__check_object_size', role: 'judge', kernelPointer: 0, size: 1, direction: { argument: 2 } },
    { symbol: '_copy_to_user', role: 'outer', userPointer: 0, kernelPointer: 1, size: 2, direction: 'to_user' },
    { symbol: '_copy_from_user', role: 'outer', kernelPointer: 0, userPointer: 1, size: 2, direction: 'from_user' },
    { symbol: '__copy_user', role: 'raw', kernelPointer: 0, userPointer: 1, size: 2, direction: 'by address' },
  ],
  // KERNEL_STACK_SIZE_ORDER (arch/ia64/include/asm/ptrace.h): 32 KiB with every page size up to 16 KiB, a page of 64 KiB.
  threadSize: (kernel) => threadSizeOf(kernel, pageShiftOf(kernel) === 16 ? 64n * KIB : 32n * KIB, 1n),
  layout: (kernel) => layoutWith(kernel, pageShiftOf(kernel)),
  unpackImage: async () => null,
  bootVariables: () => [],
  prepare() {},
};

export const ia64: ArchDriver = { linuxArch: 'ia64', variants: [ia64Variant] };
