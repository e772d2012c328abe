/**
 * What an architecture is, as far as the usercopy check is concerned. One folder per Linux architecture, each exporting
 * one `ArchDriver`; nothing else in the project says an architecture's name. Data first, small pure functions where data
 * is not enough.
 */
import type { Engine, EngineSpec } from '../src/engine/engine.js';
import type { Bits, Endian, Kernel, Segment } from '../src/kernel/kernel.js';
import type { DumpConvention } from './dump.js';

/** Argument of a function, by position from 0; or a fixed value. */
export type Argument = { readonly argument: number };

/**
 * A function through which the kernel copies to or from user memory, or judges such a copy.
 * `size` is a full word unless `sizeBits` says that only the low bits count.
 */
export interface UaccessEntry {
  readonly symbol: string;
  /** `judge`: the check itself. `outer`: what C code calls. `raw`: the routine that moves the bytes. */
  readonly role: 'judge' | 'outer' | 'raw';
  readonly kernelPointer: number;
  /** Absent for the check itself. */
  readonly userPointer?: number;
  readonly size: number;
  readonly sizeBits?: 32;
  readonly direction:
    | 'to_user'
    | 'from_user'
    /** A boolean argument: true is to_user. */
    | Argument
    /** One routine both ways: whichever pointer is a user address says it. */
    | 'by address';
}

/** Registers by the job they do; names as the engine spells them. */
export interface RegisterRoles {
  readonly pc: string;
  readonly sp: string;
  readonly fp: string;
  /** Register that holds the return address at a function's entry; null where it is on the stack. */
  readonly link: string | null;
  readonly arguments: readonly string[];
  readonly returnValue: string;
  /** What a person wants to see, in the order of the architecture's own register dump. */
  readonly all: readonly string[];
}

/** How a function is called by hand. */
export interface CallingConvention {
  /** Alignment of sp at a call, bytes. */
  readonly stackAlignment: number;
  /** Bytes that the caller leaves above sp for the callee (s390x register save area, powerpc frame header); 0 on most. */
  readonly reservedBytes: number;
  /** Whether the return address is pushed (true) or put in `registers.link` (false). */
  readonly pushesReturnAddress: boolean;
}

/** Where `current` is found. */
export type CurrentTask =
  /** A register holds the task_struct's address. */
  | { readonly kind: 'register'; readonly register: string }
  /** A word in memory at a register plus the address of a per-cpu symbol (or a fixed offset). */
  | {
      readonly kind: 'memory';
      readonly base: string | null;
      readonly symbols: readonly string[];
      readonly offset: bigint;
    }
  /** `thread_info` at the bottom of the stack, found by masking sp (before THREAD_INFO_IN_TASK). */
  | { readonly kind: 'masked stack pointer' };

/** How stack frames are linked. */
export interface FrameConvention {
  /** Bytes from a frame's address to the word that holds the caller's frame, and to its return address. */
  readonly savedFrame: number;
  readonly returnAddress: number;
  /** Added to a frame register to get an address (2047 on sparc64). */
  readonly bias: number;
  /** Bytes above a linked frame's address at which its caller's bytes begin (saved frame and return address). */
  readonly header: number;
  /** Whether this kernel's arch_within_stack_frames() looks at frames. */
  checkedByKernel(kernel: Kernel): boolean;
}

/** How BUG() shows when code runs under the emulator. */
export type BugSignature =
  | { readonly kind: 'invalid instruction'; readonly encodings: readonly Uint8Array[] }
  | { readonly kind: 'interrupt'; readonly number: number };

/** Virtual addresses [virtual, virtual + size) that are physical [physical, …) by adding a constant. */
export interface LinearMap {
  readonly virtual: bigint;
  readonly size: bigint;
  readonly physical: bigint;
}

/** How `virt_addr_valid()` tells whether a page frame has a struct page. */
export type PageValidity =
  /** SPARSEMEM: `mem_section[]`, with the bits that the architecture gives. */
  | { readonly kind: 'sparsemem'; readonly sectionSizeBits: number; readonly physicalAddressBits: number }
  /** `memblock.memory` has the address (arm, arm64 before 5.14 and after). */
  | { readonly kind: 'memblock'; readonly sectionSizeBits: number; readonly physicalAddressBits: number }
  /** FLATMEM: frames below `max_mapnr`. */
  | { readonly kind: 'flatmem' };

/** Where things lie in kernel virtual memory; all ends are the first byte after. */
export interface MemoryLayout {
  readonly pageShift: number;
  /** First address of the linear map. */
  readonly pageOffset: bigint;
  /** First the linear map, then others (the kernel image's own mapping). The first match wins. */
  readonly linearMaps: readonly LinearMap[];
  /** What `is_vmalloc_addr()` accepts. */
  readonly vmallocStart: bigint;
  readonly vmallocEnd: bigint;
  readonly modulesStart: bigint;
  readonly modulesEnd: bigint;
  /** Address of page frame 0's struct page, where the kernel has a vmemmap; else null. */
  readonly vmemmap: bigint | null;
  readonly pageValidity: PageValidity;
  /** Slots of kmap(); empty where there is no highmem. */
  readonly kmap: readonly { readonly start: bigint; readonly end: bigint }[];
  /** First address that is not user space. */
  readonly taskSize: bigint;
  /** The kernel image's virtual address minus its physical one. */
  readonly imageOffset: bigint;
}

/** A kernel image unpacked from the architecture's boot wrapper. */
export interface UnpackedImage {
  /** What it was: `bzImage (lz4)`. */
  readonly format: string;
  /** An ELF file, or raw memory at `address`. */
  readonly payload:
    | { readonly kind: 'elf'; readonly bytes: Uint8Array }
    | { readonly kind: 'flat'; readonly segment: Segment };
}

/** Functions that boot wrappers need from `src/kernel/`; given as an argument so that a driver imports no library. */
export interface ImageTools {
  /** Unpacks a payload by its magic; null when none is known at `offset`. At most `limit` bytes come out, else an error. */
  decompress(
    bytes: Uint8Array,
    offset: number,
    limit: number,
  ): { readonly bytes: Uint8Array; readonly format: string } | null;
}

export interface Variant {
  /** `x86_64`, `i386`, `arm`, `arm64`, `ppc`, `ppc64`, `ppc64le`, `sparc`, `sparc64`, `s390x`, `ia64`. */
  readonly name: string;
  readonly bits: Bits;
  readonly endian: Endian;
  /** ELF e_machine. */
  readonly elfMachine: number;
  /** log2 of the page sizes that its kernels are built with, the usual one first. */
  readonly pageShifts: readonly number[];
  readonly engine: EngineSpec | { readonly unsupported: string };
  readonly registers: RegisterRoles;
  readonly call: CallingConvention;
  readonly current: CurrentTask;
  readonly frames: FrameConvention;
  /** ARCH_HAS_CURRENT_STACK_POINTER (2792d84e6da5, 5.18): the kernel's stack check knows the stack pointer. */
  readonly hasCurrentStackPointer: boolean;
  /** BUG() of a stopped guest. */
  readonly bug: BugSignature;
  /** How its memory dumps are read; null when they are not supported. */
  readonly dump: DumpConvention | null;
  /** Debian package that carries its kernel (newest of a suite), or null. */
  readonly debianKernel: { readonly architecture: string; readonly metaPackage: string } | null;
  readonly uaccess: readonly UaccessEntry[];
  /** THREAD_SIZE in bytes. */
  threadSize(kernel: Kernel): bigint;
  layout(kernel: Kernel): MemoryLayout;
  /** Recognises and unpacks the architecture's boot wrappers; null when `bytes` is none of them. */
  unpackImage(bytes: Uint8Array, tools: ImageTools): UnpackedImage | null;
  /**
   * Variables that boot code would have set before C code runs, for an image started without booting: symbol → value.
   * Symbols that the kernel lacks are passed over. `physicalBase` is where its RAM begins.
   */
  bootVariables(kernel: Kernel, physicalBase: bigint): Readonly<Record<string, bigint>>;
  /** What must be done to a fresh emulator before the first instruction. */
  prepare(engine: Engine): void;
}

export interface ArchDriver {
  /** The architecture's folder name in Linux's `arch/`. */
  readonly linuxArch: string;
  readonly variants: readonly Variant[];
}
