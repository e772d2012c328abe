/**
 * What an architecture is, as far as the usercopy check is concerned. One folder per Linux architecture, each exporting
 * one `ArchDriver`; nothing else in the project says an architecture's name. Data first, small pure functions where data
 * is not enough.
 */
import type { Engine, EngineSpec } from '../src/engine/engine.js';
import type { Bits, Endian, Kernel } from '../src/kernel/kernel.js';
import type { CycleTraits } from './cycles.js';
import type { DumpConvention } from './dump.js';
import type { MemoryLayout } from './layout.js';

export type { LinearMap, MemoryLayout, PageValidity, SectionBits } from './layout.js';

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
  /** Those of them that say how the CPU translates and traps: `prepare` sets them, no other machine's are taken over. */
  readonly machineState?: readonly string[];
}

/** How a function is called by hand. */
export interface CallingConvention {
  /** Alignment of sp at a call, bytes. */
  readonly stackAlignment: number;
  /** Bytes that the caller leaves above sp for the callee (s390x register save area, powerpc frame header); 0 on most. */
  readonly reservedBytes: number;
  /** Bytes from the caller's sp to the first argument that has no register; `reservedBytes` when absent. */
  readonly firstStackArgument?: number;
  /** Added to the stack pointer's register to get an address (2047 on sparc64); 0 when absent. */
  readonly stackBias?: number;
  /** Whether the return address is pushed (true) or put in `registers.link` (false). */
  readonly pushesReturnAddress: boolean;
  /** Functions that are `asmlinkage` take all their arguments on the stack, others in registers (i386). */
  readonly asmlinkageOnStack?: boolean;
  /** Bytes from the address in `registers.link` to where the function returns (8 on sparc: call and delay slot). */
  readonly returnOffset?: number;
  /** Register that holds the function's own address when it is called from outside (r12 in powerpc's ELFv2). */
  readonly entryRegister?: string;
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
      /** Structure and member whose offset takes the place of `offset` where the kernel's types have it. */
      readonly member?: readonly [struct: string, path: string];
    }
  /**
   * `thread_info` at the bottom of the stack, found by masking sp (before THREAD_INFO_IN_TASK). Where the kernel's own code goes by a
   * register with its address instead, that register.
   */
  | { readonly kind: 'masked stack pointer'; readonly register?: string };

/**
 * Where frames keep their links. A frame has a record with the address of its caller's; what is above a record and below
 * the next belongs to one frame.
 */
export interface FrameLayout {
  /**
   * `frame pointers`: a register points to the innermost record; a record holds its own frame's return address.
   * `back chain`: the stack pointer leads to the innermost record; a record holds the return address of the function that
   * its frame called.
   * `register windows`: the same with a record of the frame's own registers; of the innermost frame, whose window may not
   * have been written yet, they are in registers.
   */
  readonly kind: 'frame pointers' | 'back chain' | 'register windows';
  /** End of a frame at which its record lies. */
  readonly recordAt: 'top' | 'bottom';
  /** Bytes from a record's address to the word that leads to the caller's record, and to the return address. */
  readonly savedFrame: number;
  readonly returnAddress: number;
  /** Added to the register (and to saved ones) to get a record's address: 2047 on sparc64, below zero where it points into its record. */
  readonly bias: number;
  /** Bytes of a record. No copy may touch one. */
  readonly header: number;
  /** Register with the innermost frame's return address, where that is not in memory yet. */
  readonly returnRegister?: string;
}

/** How stack frames are linked. */
export interface FrameConvention {
  /** Whether code of this architecture can link its frames at all. */
  readonly linked: boolean;
  /** The layout that this kernel was compiled with; null where it keeps no chain of frames. */
  layout(kernel: Kernel): FrameLayout | null;
  /** What mainline's arch_within_stack_frames() walks; absent where it walks nothing. */
  readonly walked?: {
    /** The first release that does. */
    readonly since: { readonly major: number; readonly minor: number };
    /** The option that a kernel must be built with; null where every one walks. */
    readonly option: string | null;
    readonly layout: FrameLayout;
  };
  /**
   * Bytes from a function's record up to the stack pointer at its first instruction, by its first 64 bytes; null where they do not tell. Absent
   * where the record lies at an end of the frame in every function.
   */
  recordToEntry?(code: Uint8Array): bigint | null;
  /** Whether this kernel's arch_within_stack_frames() looks at frames. */
  checkedByKernel(kernel: Kernel): boolean;
}

/** How BUG() shows when code runs under the emulator. */
export type BugSignature =
  | { readonly kind: 'invalid instruction'; readonly encodings: readonly Uint8Array[] }
  | {
      readonly kind: 'interrupt';
      readonly number: number;
      /** The instructions that mean BUG(), where the interrupt has other causes too. */
      readonly encodings?: readonly Uint8Array[];
      /** Bytes from that instruction to where the pc stands then; 0 when absent. */
      readonly pcOffset?: number;
    };

/** A word-sized variable, or a member of one. */
export interface BootVariable {
  readonly symbol: string;
  /** Structure and member, when the variable is a structure. */
  readonly member?: readonly [struct: string, path: string];
  readonly value: bigint;
}

/** What a driver may do to a guest whose RAM and image are in place, as early boot code would. */
export interface BootTools {
  readonly kernel: Kernel;
  readonly engine: Engine;
  readonly ram: { readonly physicalBase: bigint; readonly bytes: bigint };
  /** User memory, which lies outside RAM. */
  readonly user: { readonly address: bigint; readonly size: bigint };
  /** Takes zeroed pages of RAM at a multiple of `alignment`; gives their address in the linear map. All in bytes. */
  allocate(size: bigint, alignment: bigint): bigint;
  /** Writes an unsigned number of `size` bytes at a virtual address. */
  write(address: bigint, size: number, value: bigint): void;
}

/** How code that a static key guards is patched (`struct jump_entry`, include/linux/jump_label.h). */
export interface StaticBranch {
  /** HAVE_ARCH_JUMP_LABEL_RELATIVE: entries hold distances { s32 code, s32 target, long key } instead of addresses. */
  relativeEntries(kernel: Kernel): boolean;
  /** Bytes of each of the three addresses of an entry; absent: a word. */
  readonly entryAddressBytes?: number;
  /** The instruction at `code` that jumps to `target`, as long as the one that stands there (`existing`, 8 bytes). */
  jump(code: bigint, target: bigint, existing: Uint8Array): Uint8Array;
  /** The instruction that does nothing, of the same length. */
  nop(existing: Uint8Array): Uint8Array;
}

/** Direct calls and jumps in code, as far as they name their target themselves. */
export interface DirectBranch {
  /** Bytes between places where an instruction may begin. */
  readonly step: number;
  /** Where the call or jump at `at` of `code` goes, whose first byte lies at `address`; null for any other instruction. */
  target(code: Uint8Array, at: number, address: bigint): bigint | null;
}

/** What an emulator is made ready for. */
export interface MachineState {
  readonly kernel: Kernel;
  /** Bits of a kernel address that the page tables of a dump translate; absent: as boot code would choose. */
  readonly addressBits?: number;
}

/** A kernel image unpacked from the architecture's boot wrapper. */
export interface UnpackedImage {
  /** What it was: `bzImage (lz4)`. */
  readonly format: string;
  /** An ELF file, or the bytes that the boot code would put in memory. */
  readonly payload:
    | { readonly kind: 'elf'; readonly bytes: Uint8Array }
    | {
        readonly kind: 'flat';
        readonly bytes: Uint8Array;
        /**
         * Virtual address that it was linked for; null when only its contents can tell (kallsyms, relocations); a function
         * when it follows from the address of the lowest symbol in kallsyms.
         */
        readonly address: bigint | null | ((lowestSymbol: bigint) => bigint);
        /** Bytes in memory, bss included; null where the wrapper does not say. */
        readonly memorySize: bigint | null;
        /** Symbol of the image's first byte; `_text` when absent. */
        readonly firstSymbol?: string;
        /** Virtual addresses of a RELA table and of its symbols, where the wrapper says; else they are looked for. */
        readonly relocations?: { readonly start: bigint; readonly end: bigint; readonly symbols: bigint };
      };
}

/** Functions that boot wrappers need from `src/kernel/`; given as an argument so that a driver imports no library. */
export interface ImageTools {
  /**
   * Unpacks the payload that begins at `offset`, by its magic; null when no known magic is there. At most `limit` bytes
   * come out; more, or a corrupt payload, is a `bad-input` error. What follows the payload's own end is ignored.
   */
  decompress(
    bytes: Uint8Array,
    offset: number,
    limit: number,
  ): Promise<{ readonly bytes: Uint8Array; readonly format: string } | null>;
}

/** What building a kernel of a variant takes. */
export interface KernelBuild {
  /** ARCH, as the kernel's Makefile wants it. */
  readonly makeArchitecture: string;
  /** The folder below arch/. */
  readonly sourceFolder: string;
  /** GNU's name of the target, which Debian's cross compiler is named after. */
  readonly triplet: string;
  /** Options for the C compiler besides the kernel's own. */
  readonly compilerOptions?: readonly string[];
  /** Lines of a `.config`: what the smallest kernel needs of its architecture. A kernel in which one goes unmet is not built, … */
  readonly config: string;
  /** … but for these, which only some series have. */
  readonly optional?: readonly string[];
  /** Debian's packages that the kernel's own tools are compiled with for this machine: headers and libraries. */
  readonly hostLibraries?: readonly string[];
}

export interface Variant {
  /** `x86_64`, `i386`, `arm`, `arm64`, `ppc`, `ppc64`, `ppc64le`, `sparc`, `sparc64`, `s390x`, `ia64`. */
  readonly name: string;
  readonly bits: Bits;
  readonly endian: Endian;
  /** ELF e_machine. */
  readonly elfMachine: number;
  /** ELF type of the relocation "base + addend" (R_*_RELATIVE): relocatable kernels carry a table of them. */
  readonly relativeRelocation: number;
  /** ELF types of the relocation "symbol + addend", one word wide, that its kernels leave to boot code. None when absent. */
  readonly symbolRelocations?: readonly number[];
  /** log2 of the page sizes that its kernels are built with, the usual one first. */
  readonly pageShifts: readonly number[];
  readonly engine: EngineSpec | { readonly unsupported: string };
  /** What a user should know before relying on it, in a sentence or two. */
  readonly note: string;
  readonly registers: RegisterRoles;
  /** What the cycle model knows of its instructions; absent: no cycle estimates. */
  readonly cycles?: CycleTraits;
  readonly call: CallingConvention;
  readonly current: CurrentTask;
  readonly frames: FrameConvention;
  readonly staticBranch: StaticBranch;
  readonly directBranch: DirectBranch;
  /** ARCH_HAS_CURRENT_STACK_POINTER (2792d84e6da5, 5.18): the kernel's stack check knows the stack pointer. */
  readonly hasCurrentStackPointer: boolean;
  /** Of 64 bits: kernel addresses may be below 4 GiB, so that zeros in the upper half say nothing. */
  readonly hasLowAddresses?: true;
  /** The lowest bit of a function's symbol is no part of its address: it tells the instruction set (Thumb). */
  readonly marksCodeSymbols?: true;
  /** BUG() of a stopped guest. */
  readonly bug: BugSignature;
  /** How its memory dumps are read; null when they are not supported. */
  readonly dump: DumpConvention | null;
  /** Debian package that carries its kernel (newest of a suite), or null. */
  readonly debianKernel: { readonly architecture: string; readonly metaPackage: string } | null;
  /** How `usercopy kernel build` builds its kernel from source; absent: it does not. */
  readonly kernelBuild?: KernelBuild;
  readonly uaccess: readonly UaccessEntry[];
  /** THREAD_SIZE in bytes. */
  threadSize(kernel: Kernel): bigint;
  layout(kernel: Kernel): MemoryLayout;
  /** Its boot wrapper is an ELF file itself: `unpackImage` is asked of those, too. */
  readonly wrapsInElf?: true;
  /** Recognises and unpacks the architecture's boot wrappers; null when `bytes` is none of them. */
  unpackImage(bytes: Uint8Array, tools: ImageTools): Promise<UnpackedImage | null>;
  /**
   * Variables that boot code would have set before C code runs, for an image started without booting. Those that the
   * kernel lacks are passed over. `physicalBase` is where its RAM begins.
   */
  bootVariables(kernel: Kernel, physicalBase: bigint): readonly BootVariable[];
  /** What must be done to a fresh emulator before the first instruction. */
  prepare(engine: Engine, state: MachineState): void;
  /** What Unicorn's dumpers (`unicorn_dumper_*.py`) call it; absent: they do not know it. */
  readonly dumperName?: string;
  /** CPU state that `prepare` sets and a snapshot's registers do not hold, by name; absent: there is none. */
  readonly unsavedState?: string;
  /** Why no harness could run a guest that is written down as a snapshot; absent: harnesses can. */
  readonly unsavable?: string;
  /** Of what `prepare` sets, what a snapshot holds beside `registers`, as it was set: not every libunicorn can read, write or name these. */
  readonly preparedRegisters?: ReadonlyMap<string, bigint>;
  /** Sets what of a snapshot's registers the emulator does not take as it is written; absent: it takes all that it knows. */
  completeRegisters?(engine: Engine, registers: ReadonlyMap<string, bigint>): void;
  /** What more a kernel image needs when it is started without booting: areas that registers point to, page tables. */
  boot?(tools: BootTools): void;
  /**
   * Bits of a virtual address that reach memory, where the emulator runs the CPU without translation and drops the
   * others: memory is then mapped at the masked address too.
   */
  readonly addressMask?: bigint;
  /** What stands where called functions return to, for an emulator that must not translate a page of zeroes; absent: nothing. */
  readonly stopCode?: Uint8Array;
  /** Functions that cannot run in the emulator, and the code that stands in for them (the whole function's, position independent). */
  readonly stubs?: readonly { readonly symbol: string; readonly code: Uint8Array }[];
  /** Bits of a function's address that say how its code is to be run, and are no part of where it lies; absent: none. */
  readonly stateBits?: bigint;
  /** A return address that a frame keeps, without what signs it. Absent where none are signed. */
  savedAddress?(address: bigint, kernel: Kernel): bigint;
  /** Bytes from a symbol to where calls from inside the kernel arrive, told by the function's first 8 bytes. 0 when absent. */
  entryOffset?(code: Uint8Array): bigint;
}

export interface ArchDriver {
  /** The architecture's folder name in Linux's `arch/`. */
  readonly linuxArch: string;
  readonly variants: readonly Variant[];
}
