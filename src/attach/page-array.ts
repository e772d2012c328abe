/** Whether a guest's memory has a page array: without one the check knows of no slab object and no page, as the guest's own does not. */
import type { CheckParameters, SparsememParameters } from '../check/parameters.js';
import type { Kernel } from '../kernel/kernel.js';
import { decodeWord } from '../kernel/words.js';

/** Sections, and roots of SPARSEMEM_EXTREME, that are looked at. */
const MOST_LOOKED_AT = 65_536;

/** What says that no page frame has a struct page, in words; null when some has one. `live.read` shows the guest's memory. */
export function pageArrayGap({ introspection, pageShift }: CheckParameters, live: Kernel): string | null {
  if (introspection === null) return null;
  const validity = introspection.pageValidity;
  switch (validity.kind) {
    case 'flatmem':
      return wordAt(live, validity.maxMapnr) ? null : 'max_mapnr is 0';
    case 'memblock':
      return wordAt(live, validity.memory + BigInt(validity.count.offset)) ? null : 'memblock.memory has no region';
    case 'sparsemem':
      return hasSection(validity, pageShift, live) ? null : 'mem_section has no section';
  }
}

function wordAt(live: Kernel, address: bigint): bigint | undefined {
  const bytes = live.read(BigInt.asUintN(64, address), live.bits / 8);
  return bytes && decodeWord(bytes, live);
}

function hasSection(facts: SparsememParameters, pageShift: number, live: Kernel): boolean {
  const sections = 2 ** (facts.physicalAddressBits - facts.sectionSizeBits);
  if (!facts.extreme) return someSection(facts, live, facts.memSection, sections);
  const roots = wordAt(live, facts.memSection);
  if (!roots) return false;
  const perRoot = Math.max(1, Math.floor(2 ** pageShift / facts.sectionSize));
  const count = Math.min(Math.ceil(sections / perRoot), MOST_LOOKED_AT);
  for (let index = 0; index < count; index++) {
    const root = wordAt(live, roots + BigInt((index * live.bits) / 8));
    if (root === undefined) return false;
    if (root !== 0n && someSection(facts, live, root, perRoot)) return true;
  }
  return false;
}

function someSection(facts: SparsememParameters, live: Kernel, start: bigint, count: number): boolean {
  for (let index = 0; index < Math.min(count, MOST_LOOKED_AT); index++) {
    const map = wordAt(live, start + BigInt(index * facts.sectionSize + facts.sectionMap.offset));
    if (map === undefined) return false;
    if (map & facts.hasMemMap) return true;
  }
  return false;
}
