/** What a kernel's contents tell of its check: texts that only some of its rules print, and functions that it calls. */
import type { Variant } from '../../arch/driver.js';
import { bytesOf, indexOfBytes } from '../kernel/bytes.js';
import type { CheckTraits, Kernel, KernelSymbol } from '../kernel/kernel.js';
import { entryPointOf } from '../stack/entry-point.js';

const TEXTS = [
  'kernel memory %s attempt detected',
  'Kernel memory %s attempt detected',
  "kernel memory %s attempt detected %s '%s'",
  'no area',
  'spans multiple pages',
  '<spans multiple pages>',
  'spans Reserved and non-Reserved pages',
  '<spans Reserved and non-Reserved pages>',
  '<linear kernel text>',
] as const;
/** The others are words that longer texts have too. */
const BEGINNINGS = /attempt detected/;
export type CheckText = (typeof TEXTS)[number];

const CALLED = ['find_vm_area', 'find_vmap_area', 'is_vmalloc_or_module_addr', 'kmap_to_page'] as const;
export type CalledFunction = (typeof CALLED)[number];

/** The check's functions in mm/usercopy.c, and what GCC splits off or clones: `check_heap_object.isra.0.part.12`, `….cold`. */
const OWN = /^(?:__check_object_size|check_heap_object)(?:\.(?:part|isra|constprop|cold)(?:\.\d+)?)*$/;
const OUTERMOST = '__check_object_size';
/** Bytes; a function of the check has some hundred. */
const LARGEST_FUNCTION = 16384n;

/** Texts by the segments that hold them, which never change: to search megabytes takes longer than the rest of an attach. */
const foundTexts = new WeakMap<Kernel['segments'], readonly CheckText[]>();

/** Nothing is told of a kernel whose contents are not at hand. */
export function traitsOf(kernel: Kernel, variant: Variant): CheckTraits {
  if (kernel.traits !== undefined) return kernel.traits;
  return { texts: textsOf(kernel), ...callsOf(kernel, variant) };
}

function textsOf(kernel: Kernel): readonly CheckText[] {
  const known = foundTexts.get(kernel.segments);
  if (known !== undefined) return known;
  const texts = TEXTS.filter((text) => holds(kernel, text));
  foundTexts.set(kernel.segments, texts);
  return texts;
}

function holds({ segments, symbols }: Kernel, text: string): boolean {
  const wanted = bytesOf(BEGINNINGS.test(text) ? text : `${text}\0`);
  const start = symbols.address('__start_rodata');
  const end = symbols.address('__end_rodata');
  for (const { bytes, address } of segments) {
    const inside =
      start !== undefined && end !== undefined && start >= address && end <= address + BigInt(bytes.length);
    const part = inside ? bytes.subarray(Number(start - address), Number(end - address)) : bytes;
    if (indexOfBytes(part, wanted) >= 0) return true;
  }
  return false;
}

/**
 * Calls in the functions of the check: the outermost one, and those of its own that it reaches. They are all of them
 * (`callsAreAll`) when each of these functions could be read and the branches of one were understood: code of a kind that
 * `directBranch` does not know (Thumb-2, ia64) looks like code without calls.
 */
function callsOf(kernel: Kernel, variant: Variant): Pick<CheckTraits, 'calls' | 'callsAreAll'> {
  const names = new Map<bigint, string>();
  for (const name of CALLED) {
    const symbol = kernel.symbols.address(name);
    const entry = entryPointOf(kernel, variant, name);
    if (symbol !== undefined) names.set(symbol, name);
    if (entry !== undefined) names.set(entry, name);
  }
  const calls = new Set<string>();
  const met = new Map<string, KernelSymbol>();
  const meet = (symbol: KernelSymbol | undefined): void => {
    if (symbol !== undefined && OWN.test(symbol.name) && !met.has(symbol.name)) met.set(symbol.name, symbol);
  };
  meet(kernel.symbols.get(OUTERMOST));
  let areRead = true;
  let areUnderstood = false;
  const { step, target } = variant.directBranch;
  // Those that are met on the way come in behind.
  for (const symbol of met.values()) {
    // Only conditional branches may lead there.
    meet(kernel.symbols.get(`${symbol.name}.cold`));
    const isReadable = symbol.size > 0n && symbol.size <= LARGEST_FUNCTION;
    const code = isReadable ? kernel.read(symbol.address, Number(symbol.size)) : undefined;
    if (code === undefined) {
      areRead = false;
      continue;
    }
    for (let at = 0; at < code.length; at += step) {
      const reached = target(code, at, symbol.address);
      if (reached === null) continue;
      const address = BigInt.asUintN(variant.bits, reached);
      const name = names.get(address);
      const begun = functionAt(kernel, variant, address);
      if (name !== undefined) calls.add(name);
      meet(begun);
      areUnderstood ||= name !== undefined || begun !== undefined;
    }
  }
  return { calls: [...calls], callsAreAll: areRead && areUnderstood };
}

/** The function that begins at an address: bytes that only look like a branch lead to any place. */
function functionAt(kernel: Kernel, variant: Variant, address: bigint): KernelSymbol | undefined {
  const found = kernel.symbols.find(address);
  if (found === undefined) return undefined;
  const { symbol, offset } = found;
  return offset === 0n || entryPointOf(kernel, variant, symbol.name) === address ? symbol : undefined;
}
