/**
 * What an architecture adds to the reading of memory dumps: how its page tables are walked, and under which names its
 * CPU state is written down by those who make dumps. Data and pure functions; nothing here opens a file.
 */

import type { Kernel } from '../src/kernel/kernel.js';
import type { Words } from '../src/kernel/words.js';
import type { LinearMap, MemoryLayout } from './layout.js';

/** Bytes of physical memory, or undefined where they cannot all be had. */
export type ReadPhysical = (address: bigint, length: number) => Uint8Array | undefined;

/** Register name as the engine spells it (`rip`, `gs_base`, `x0`) → value. */
export type RegisterValues = ReadonlyMap<string, bigint>;

/** Shape of a kernel's page tables. */
export interface PageTableShape {
  /** log2 of the smallest page. */
  readonly pageShift: number;
  /** Bits of a virtual address that the tables resolve: 48 or 57 on x86_64, 36 to 52 on arm64, 31 to 64 on s390x. */
  readonly addressBits: number;
  /** Which of an architecture's formats, where it has several for the same size of address. */
  readonly format?: string | undefined;
}

/** Where a walk starts, and the shape of the tables. */
export interface PageTables extends PageTableShape {
  /** Physical address of the top table. */
  readonly root: bigint;
}

export interface Translation {
  readonly physical: bigint;
  /** Bytes of the page or block that maps the address. */
  readonly size: bigint;
}

/** A walk ends after as many steps as there are levels, whatever the tables hold: tables that point at themselves cannot trap it. */
export type Translate = (read: ReadPhysical, tables: PageTables, address: bigint) => Translation | null;

/** Keys and values of a kernel's VMCOREINFO note. */
export interface KernelNotes {
  /** Value of `SYMBOL(name)`. */
  symbol(name: string): bigint | undefined;
  /** Value of `NUMBER(name)`: decimal or, with 0x, hexadecimal; negative ones are negative. */
  number(name: string): bigint | undefined;
  /** Value of a plain key: `PAGESIZE`. */
  text(key: string): string | undefined;
}

/** Where the kernel image was put, when no note says it. */
export type ImagePlacement =
  /** At `start + k * step`, below `end`: the kernel's page tables say which. */
  | { readonly kind: 'slots'; readonly start: bigint; readonly end: bigint; readonly step: bigint }
  /** The kernel keeps virtual minus physical in a variable of this name. */
  | { readonly kind: 'variable'; readonly symbol: string }
  /**
   * Virtual minus physical address is this, wherever it was put. With `slots` at a multiple of `step` in the first `end`
   * bytes of memory.
   */
  | {
      readonly kind: 'offset';
      readonly offset: (image: Kernel) => bigint;
      readonly slots?: { readonly end: bigint; readonly step: bigint };
    }
  /** The first word of this variable is by how much it was moved; kernels without it run at physical addresses. */
  | { readonly kind: 'moved'; readonly symbol: string }
  /** Nowhere else than it was linked. */
  | { readonly kind: 'linked' };

/** Where the general registers lie in the data of an NT_PRSTATUS note. */
export interface PrstatusLayout {
  /** Bytes of the whole note. */
  readonly size: number;
  /** Bytes before the first register. */
  readonly offset: number;
  /** Bytes of a register. */
  readonly width: 4 | 8;
  /** Register names in the note's order; null for a slot that has no name. */
  readonly registers: readonly (string | null)[];
}

/** Another note with CPU state. */
export interface RegisterNote {
  readonly owner: string;
  readonly type: number;
  /** Registers in the note's data; a note that is too short gives fewer. */
  parse(data: Words): Iterable<readonly [string, bigint]>;
}

/** A pattern of QEMU's `info registers` text. */
export interface RegisterPattern {
  /** Global; group 1 is the name as QEMU prints it, group 2 the value in hexadecimal, or several with blanks between. */
  readonly pattern: RegExp;
  /** The engine's name of a register; null: not wanted. `index` counts the values behind one printed name. */
  name(printed: string, index: number): string | null;
}

export interface DumpConvention {
  /** ELF e_machine of its dumps beside the variant's own: QEMU goes by the emulator's and the CPU's abilities. */
  readonly elfMachines?: readonly number[];
  /** What `uname -m` says; the variant's name when absent. */
  readonly utsMachine?: RegExp;
  readonly translate: Translate;
  /** Tables that registers point to, the likeliest first; none when they do not say. */
  fromRegisters(registers: RegisterValues): readonly PageTables[];
  /** The kernel's own top table; the first symbol that exists. */
  readonly rootSymbols: readonly string[];
  /** Addresses in the image at which its top table may be, where no symbol says it. Absent: any page of it. */
  rootAddresses?(image: Kernel): readonly bigint[];
  /** Shapes that kernels are built with, the usual one first: tried where nothing says which. */
  readonly shapes: readonly PageTableShape[];
  /** The shape that VMCOREINFO tells; null when it does not. */
  shapeFromNotes(notes: KernelNotes): PageTableShape | null;
  /**
   * Virtual minus physical address of the kernel image by VMCOREINFO; null when it does not say. `lowestMemory` is the
   * first physical address of the dump.
   */
  imageOffsetFromNotes(notes: KernelNotes, lowestMemory: bigint): bigint | null;
  readonly placement: ImagePlacement;
  readonly prstatus: PrstatusLayout;
  /**
   * What a trap leaves on the stack (`struct pt_regs`), which has the registers as `prstatus` has them (ELF_CORE_COPY_REGS).
   * Absent where nobody has looked.
   */
  readonly trapFrame?: {
    /** Member of `struct pt_regs` at which they begin. */
    readonly member: string;
    /** Bytes of `struct pt_regs` where it begins with them and never changed, for kernels whose types lack it. */
    readonly size?: number;
    /** Registers that a function preserves by the ABI: at BUG() they are what the check left in them. */
    readonly preserved: readonly string[];
  };
  readonly notes: readonly RegisterNote[];
  readonly text: readonly RegisterPattern[];
  /**
   * The register (or address) that `current` is found by, out of what a dump gives; null when that is not enough.
   * For a variant whose `current` is in memory it is the base that is added.
   */
  currentBase(registers: RegisterValues): bigint | null;
  /**
   * The layout of a kernel that has booted: the driver's own, completed by what its page tables tell and an
   * image cannot. Absent where the driver's is enough.
   */
  runningLayout?(kernel: Kernel, tables: PageTables): MemoryLayout;
  /**
   * The kernel image, where a translation register maps it: its page tables do not show it, wherever in physical memory it
   * lies, and so do not prove their own shape either. It lies at a multiple of `size`.
   */
  readonly pinnedImage?: {
    readonly virtual: bigint;
    readonly size: bigint;
    /** The shape that an image's configuration tells; null when it does not. */
    shapeFromImage(image: Kernel): PageTableShape | null;
  };
  /** Kernel virtual memory that the page tables do not show. Absent where they show all. */
  hiddenMappings?(kernel: Kernel, tables: PageTables): readonly LinearMap[];
  /** Physical address of a real one, where the architecture distinguishes them (s390x prefixing); absent elsewhere. */
  prefix?(registers: RegisterValues): { readonly address: bigint; readonly size: bigint } | null;
}
