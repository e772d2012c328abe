/**
 * A kernel's structures as the check reads them: one small function per structure that moved, newest shape first. Each
 * names the commit and version that moved it. Offsets come from the kernel's own types; nothing here is a table.
 */
import type { MemoryLayout } from '../../arch/driver.js';
import type { Introspection } from '../check/parameters.js';
import type { Kernel } from '../kernel/kernel.js';
import { slotIfAny } from './fields.js';
import { imageMap, pageArray, pageFacts, pageValidity } from './pages.js';
import { kfenceFacts, slabFacts, slabLists } from './slab.js';
import { vmapFacts } from './vmalloc.js';

/**
 * Where and how this kernel keeps what it knows of memory; null when its types are not known, so that only declared
 * memory can be judged.
 * @throws UsercopyError `bad-input` when the types or symbols lack something that this kernel's check reads.
 */
export function introspectionOf(kernel: Kernel, layout: MemoryLayout): Introspection | null {
  const { types } = kernel;
  if (types === null) return null;
  const task = types.struct('task_struct');
  return {
    linearMaps: layout.linearMaps,
    ...imageMap(kernel, layout),
    vmalloc: { start: layout.vmallocStart, end: layout.vmallocEnd },
    modules: { start: layout.modulesStart, end: layout.modulesEnd },
    kmap: layout.kmap,
    pageValidity: pageValidity(kernel, types, layout),
    pageArray: pageArray(kernel, layout),
    page: pageFacts(kernel, types, layout),
    slab: slabFacts(kernel, types),
    lists: slabLists(kernel, types, layout),
    vmap: vmapFacts(kernel, types),
    kfence: kfenceFacts(kernel, types, layout),
    pagefaultDisabled: slotIfAny(task, 'pagefault_disabled'),
    bypassKey: kernel.symbols.address('bypass_usercopy_checks') ?? null,
  };
}
