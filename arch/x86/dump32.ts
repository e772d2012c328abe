/** Dumps of i386 machines. The linear map shows the kernel image: wherever KASLR puts it, the distance is PAGE_OFFSET. */
import type { Kernel } from '../../src/kernel/kernel.js';
import type { DumpConvention, KernelNotes, PageTableShape, RegisterValues } from '../dump.js';
import { qemuNote, segmentBases } from './dump.js';
import { PAE, translate } from './paging32.js';

const EM_X86_64 = 62;
const CR4_PAE = 1n << 5n;
const PAGE_OFFSET = 0xc000_0000n;

const PLAIN_SHAPE: PageTableShape = { pageShift: 12, addressBits: 32 };
const PAE_SHAPE: PageTableShape = { pageShift: 12, addressBits: 32, format: PAE };
const SHAPES: readonly PageTableShape[] = [PLAIN_SHAPE, PAE_SHAPE];

/** CONFIG_VMSPLIT_*, by what the image says of itself: its segments carry both addresses. */
function pageOffset({ segments }: Kernel): bigint {
  for (const { address, physical } of segments) if (physical !== null) return address - physical;
  return PAGE_OFFSET;
}

export const i386Dump: DumpConvention = {
  // Of a CPU in long mode QEMU says x86_64, whatever the guest's kernel.
  elfMachines: [EM_X86_64],
  translate,
  fromRegisters(registers: RegisterValues) {
    const root = registers.get('cr3');
    if (root === undefined) return [];
    const cr4 = registers.get('cr4');
    const shapes = cr4 === undefined ? SHAPES : [(cr4 & CR4_PAE) === 0n ? PLAIN_SHAPE : PAE_SHAPE];
    return shapes.map((shape) => ({ ...shape, root }));
  },
  rootSymbols: ['swapper_pg_dir'],
  shapes: SHAPES,
  // VMCOREINFO_CONFIG(X86_PAE) (arch/x86/kernel/crash_core_32.c)
  shapeFromNotes: (notes: KernelNotes) => (notes.text('CONFIG_X86_PAE') === 'y' ? PAE_SHAPE : PLAIN_SHAPE),
  imageOffsetFromNotes: () => PAGE_OFFSET,
  // KERNEL_IMAGE_SIZE; CONFIG_PHYSICAL_ALIGN may be less than 2 MiB, then the banner is searched.
  placement: { kind: 'offset', offset: pageOffset, slots: { end: 512n << 20n, step: 1n << 21n } },
  prstatus: {
    size: 144,
    offset: 72,
    width: 4,
    registers: [...'ebx ecx edx esi edi ebp eax ds es fs gs'.split(' '), null, ...'eip cs eflags esp ss'.split(' ')],
  },
  // Since 3c88c692c287 "x86/stackframe/32: Provide consistent pt_regs" (5.3) traps from the kernel have sp and ss, too.
  trapFrame: { member: 'bx', size: 68, preserved: ['ebx', 'esi', 'edi', 'ebp'] },
  notes: [qemuNote((name) => name.replace(/^r(?=[a-z]{2}$)/, 'e'))],
  text: [
    {
      pattern: /\b(E[A-Z]{2}|EFL) *=([0-9a-f]{8})\b/g,
      name: (name) => (name === 'EFL' ? 'eflags' : name.toLowerCase()),
    },
    { pattern: /\b(CR[0-4])=([0-9a-f]{8,16})\b/g, name: (name) => name.toLowerCase() },
    segmentBases,
  ],
  /** Per-CPU variables are addressed through %fs. */
  currentBase: (registers: RegisterValues) => registers.get('fs_base') ?? null,
};
