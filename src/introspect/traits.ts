/** What a kernel's contents tell of its check: texts that only some of its rules print, and functions that it calls. */
import type { Variant } from '../../arch/driver.js';
import { bytesOf, indexOfBytes } from '../kernel/bytes.js';
import type { CheckTraits, Kernel } from '../kernel/kernel.js';
import { entryPointOf } from '../stack/entry-point.js';

const TEXTS = [
  'kernel memory %s attempt detected',
  'Kernel memory %s attempt detected',
  'no area',
  'spans multiple pages',
  '<spans multiple pages>',
  'spans Reserved and non-Reserved pages',
  '<spans Reserved and non-Reserved pages>',
] as const;
/** The others are words that longer texts have too. */
const BEGINNINGS = /detected$/;
export type CheckText = (typeof TEXTS)[number];

const CALLED = ['find_vm_area', 'find_vmap_area', 'is_vmalloc_or_module_addr', 'kmap_to_page'] as const;
export type CalledFunction = (typeof CALLED)[number];

/** The check's functions in mm/usercopy.c, as compilers split and clone them. */
const OWN = ['__check_object_size', 'check_heap_object'].flatMap((name) =>
  ['', '.part.0', '.isra.0', '.constprop.0', '.cold'].map((suffix) => `${name}${suffix}`),
);
/** Bytes; a function of the check has some hundred. */
const LARGEST_FUNCTION = 16384n;

/** Nothing is told of a kernel whose contents are not at hand. */
export function traitsOf(kernel: Kernel, variant: Variant): CheckTraits {
  if (kernel.traits !== undefined) return kernel.traits;
  return { texts: TEXTS.filter((text) => holds(kernel, text)), calls: callsOf(kernel, variant) };
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

function callsOf(kernel: Kernel, variant: Variant): string[] {
  const names = new Map<bigint, string>();
  for (const name of CALLED) {
    const symbol = kernel.symbols.address(name);
    const entry = entryPointOf(kernel, variant, name);
    if (symbol !== undefined) names.set(symbol, name);
    if (entry !== undefined) names.set(entry, name);
  }
  const found = new Set<string>();
  if (names.size === 0) return [];
  const { step, target } = variant.directBranch;
  for (const own of OWN) {
    const symbol = kernel.symbols.get(own);
    if (symbol === undefined || symbol.size === 0n || symbol.size > LARGEST_FUNCTION) continue;
    const code = kernel.read(symbol.address, Number(symbol.size));
    if (code === undefined) continue;
    for (let at = 0; at < code.length; at += step) {
      const reached = target(code, at, symbol.address);
      const name = reached === null ? undefined : names.get(BigInt.asUintN(variant.bits, reached));
      if (name !== undefined) found.add(name);
    }
  }
  return [...found];
}
