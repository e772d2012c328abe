/** A memory dump that is open, and what opening one may be told. */
import type { MachineState, Variant } from '../../arch/driver.js';
import type { RegisterValues } from '../../arch/dump.js';
import type { Modules } from '../introspect/modules.js';
import type { Kernel, Segment } from '../kernel/kernel.js';
import type { CurrentTaskFound } from './current.js';
import type { DumpFile } from './dump-file.js';
import type { Located } from './locate.js';
import type { PhysicalMemory } from './physical.js';

export interface RegisterText {
  /** QEMU's `info registers`. */
  readonly text: string;
  /** Names it in errors. */
  readonly path: string;
}

export interface DumpOptions {
  /** The kernel's image with its symbols and types; without it they must be in the dump. */
  readonly image?: Kernel | null;
  /** Makes a kernel of what lies in the dump, when there is no image. */
  readonly readKernelInDump?: (located: Located, variant: Variant) => Promise<Kernel>;
  /** Registers from elsewhere; they win over the dump's notes. */
  readonly registers?: RegisterText | null;
}

export interface Dump {
  readonly path: string;
  readonly variant: Variant;
  readonly kernel: Kernel;
  readonly located: Located;
  readonly physical: PhysicalMemory;
  /** What the file says of itself. */
  readonly file: DumpFile;
  /** Of the CPU that stands at `__check_object_size`, or of the first. */
  readonly registers: RegisterValues;
  /** Of every CPU, as far as the file has them. */
  readonly cpus: readonly RegisterValues[];
  /**
   * The task that the copy belongs to, where something else than the registers tells it: a report. null: it is another than
   * the registers lead to, and none of the dump's tasks has its stack.
   */
  readonly task?: CurrentTaskFound | null;
  /** The CPU stands at the first instruction of `__check_object_size`. */
  readonly atCheck: boolean;
  /** Who called the check, innermost first, as they were told of the dump that a shrunk one is of. */
  readonly calls?: readonly string[];
  /** What is odd about the file. */
  readonly warnings: readonly string[];
  /** The running kernel's own memory; null where the file has only parts of it (a shrunk dump). Made when first asked for. */
  image(): Segment | null;
  /** null where no list of modules is found. Looked for when first asked for. */
  modules(): Modules | null;
  close(): void;
}

/** What an emulator is made ready for that runs the dump's code. */
export function machineStateOf({ kernel, located }: Pick<Dump, 'kernel' | 'located'>): MachineState {
  return { kernel, addressBits: located.memory.tables.addressBits };
}
