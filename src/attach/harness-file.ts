/** The file of an attachment that is worked out beforehand: what is in it, and how it is written. */

import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { FrameLayout } from '../../arch/driver.js';
import type { Direction } from '../check/verdict.js';
import { hex } from '../errors.js';
import type { Kernel, KernelSymbol } from '../kernel/kernel.js';
import { having, requireValue } from '../options.js';
import { packageFile } from '../paths.js';

/** What the version of the file is; the set-up tells the same one to libusercopy. */
const FORMAT_FILE = 'scripts/lib/harness-format.json';

/** An address, 0x…: JSON's numbers end at 2^53. */
type Address = string;

/** The names of functions, for backtraces. */
export interface HarnessSymbols {
  readonly first: Address;
  /**
   * Two numbers for each function, in address order, seven bits a byte with the low ones first (LEB128) in base64: bytes
   * from the function before (from `first` for the first one), and bytes of the function, 0 where not known.
   */
  readonly places: string;
  /** Names in the same order, a blank between them. */
  readonly names: string;
}

/** What `usercopy_attach()` of libusercopy (native/harness.h) is told. Registers by Unicorn's names. */
export interface HarnessFile {
  readonly variant: string;
  readonly kernel: string;
  readonly profile: string;
  readonly judge: 'kernel' | 'all';
  readonly bits: 32 | 64;
  readonly endian: 'little' | 'big';
  /** Constants by Unicorn's names, without UC_ARCH_ and UC_MODE_. */
  readonly unicorn: { readonly arch: string; readonly mode: readonly string[] };
  /** SHA-256 of the check.wasm that this was made with. */
  readonly digest: string;
  /** The control area of the check's memory; pages that are zero are left out. */
  readonly memory: {
    readonly bytes: number;
    /** Offset of the context. */
    readonly context: number;
    readonly pieces: readonly { readonly offset: number; readonly base64: string }[];
  };
  readonly call: {
    readonly pc: string;
    readonly sp: string;
    readonly fp: string;
    /** What is compared to tell one arrival of the same copy from another. */
    readonly compared: readonly string[];
    /** null: the return address is on the stack. */
    readonly link: string | null;
    readonly returnValue: string;
    readonly stackBias: number;
    readonly returnOffset: number;
    readonly pushesReturnAddress: boolean;
    /** THREAD_SIZE in bytes. */
    readonly threadSize: number;
  };
  readonly entries: readonly {
    readonly symbol: string;
    readonly address: Address;
    readonly role: 'judge' | 'outer' | 'raw';
    readonly direction: Direction | 'register' | 'by address';
    readonly sizeBits: 32 | 64;
    /** The function's code: first byte, and first byte after it. */
    readonly body: { readonly start: Address; readonly end: Address };
    /** What stands at the address (`CODE_BYTES` at most), in base64, by which another kernel or a moved one is known; null: not known. */
    readonly code: string | null;
    /** In the order of the request's fields; null leaves one untouched. */
    readonly registers: readonly (string | null)[];
  }[];
  /** Functions that copy, where a copy can be made to fail. */
  readonly copying: readonly {
    readonly address: Address;
    readonly kernelPointer: string;
    readonly userPointer: string | null;
    readonly size: string;
    readonly sizeBits: 32 | 64;
  }[];
  /** By the verdict's number. In messages {pointer}, {bytes}, {cache}, {offset} and {size} are left open. */
  readonly verdicts: Readonly<
    Record<string, { readonly by: string; readonly messages: Readonly<Record<Direction, string | null>> }>
  >;
  readonly declaredCaches: Readonly<Record<string, string>>;
  /** Looks beyond the check; null: the kernel has no types. */
  readonly sanitizers: {
    /** Offset of the Look in the memory. */
    readonly look: number;
    /** Why an object's state is not known, by the number in the Look. */
    readonly unknown: Readonly<Record<string, string>>;
    readonly notes: readonly string[];
  } | null;
  /** The member of kmem_cache that points to its name. */
  readonly cacheName: { readonly offset: number; readonly size: number } | null;
  /** null: this kernel keeps no chain of frames. */
  readonly frames: (Omit<FrameLayout, 'returnRegister'> & { readonly returnRegister: string | null }) | null;
  /** [_stext, _etext) */
  readonly text: { readonly start: Address; readonly end: Address } | null;
  readonly symbols: HarnessSymbols | null;
  /** That nothing is judged, or hardly anything, and why: whoever attaches is told on standard error. */
  readonly warnings: readonly string[];
  /** What else a person should know: what cannot be judged, and why. */
  readonly notes: readonly string[];
}

const A_HARNESS = having('what prepareHarness() gives', 'variant', 'entries', 'profile');

/**
 * The text that `usercopy_attach()` takes. Its digest is of the attachment's bytes as they stand here: a file that was
 * damaged or edited is refused.
 */
export function harnessText(file: HarnessFile): string {
  requireValue('harnessText: file', file, A_HARNESS);
  const attachment = JSON.stringify(file);
  const digest = createHash('sha256').update(attachment).digest('hex');
  const { version }: { readonly version: number } = JSON.parse(readFileSync(packageFile(FORMAT_FILE), 'utf8'));
  return `{"usercopyHarness":${version},"sha256":"${digest}","attachment":${attachment}}\n`;
}

/** Bytes of an entry point's code that are compared: enough to know it by where a few were patched (ftrace, alternatives). */
export const CODE_BYTES = 64;

/** Printable and without blanks. */
const PLAIN_NAME = /^[\x21-\x7e]{1,500}$/;
const FUNCTION_TYPES = 'tTwW';

/** The functions of a kernel's text; null where it has none. */
export function harnessSymbols(kernel: Kernel): HarnessSymbols | null {
  const functions: KernelSymbol[] = [];
  const start = kernel.symbols.address('_stext') ?? 0n;
  const end = kernel.symbols.address('_etext') ?? 1n << 64n;
  for (const symbol of kernel.symbols) {
    if (symbol.address < start || symbol.address >= end) continue;
    if (!FUNCTION_TYPES.includes(symbol.type) || !PLAIN_NAME.test(symbol.name)) continue;
    const before = functions.at(-1);
    // Of several at one address the first is taken, as the kernel's own look-up does, unless it covers nothing.
    if (before?.address === symbol.address) {
      if (before.size === 0n) functions[functions.length - 1] = symbol;
      continue;
    }
    functions.push(symbol);
  }
  const first = functions[0];
  if (first === undefined) return null;
  const bytes: number[] = [];
  let last = first.address;
  for (const { address, size } of functions) {
    pushNumber(bytes, address - last);
    pushNumber(bytes, size);
    last = address;
  }
  return {
    first: hex(first.address),
    places: Buffer.from(bytes).toString('base64'),
    names: functions.map(({ name }) => name).join(' '),
  };
}

function pushNumber(bytes: number[], number: bigint): void {
  let rest = number;
  for (; rest >= 0x80n; rest >>= 7n) bytes.push(Number(rest & 0x7fn) | 0x80);
  bytes.push(Number(rest));
}
