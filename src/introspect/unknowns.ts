/** What a kernel has and nothing here could be found out about, so that the check answers without it. */
import type { MemoryLayout } from '../../arch/driver.js';
import type { Introspection, ProfileSwitches } from '../check/parameters.js';
import type { Kernel } from '../kernel/kernel.js';
import { cmaFacts } from './pages.js';
import { hasKfence } from './slab.js';

export interface Unknown {
  /** Whose copies are concerned. */
  readonly about: 'pages' | 'slab';
  readonly sentence: string;
}

/** Sentences for a person, each with what is taken in its place. */
export function unknownsOf(
  kernel: Kernel,
  layout: MemoryLayout,
  { kfence }: Introspection,
  switches: ProfileSwitches,
): Unknown[] {
  const unknowns: Unknown[] = [];
  const cma = kernel.types === null || switches.pageSpan === 'off' ? null : cmaFacts(kernel, kernel.types, layout);
  if (typeof cma === 'string') {
    const sentence = `the kernel has CMA, and which pages are CMA's is not known (${cma}): the page-span rules take none for one`;
    unknowns.push({ about: 'pages', sentence });
  }
  if (switches.kfence && kfence === null && hasKfence(kernel)) {
    const what = kernel.types?.hasStruct('kfence_metadata')
      ? 'it names no __kfence_pool, and none was found'
      : 'its types have no struct kfence_metadata';
    const sentence = `the kernel has KFENCE, and where its pool lies is not known (${what}): its objects are judged as if they lay where the slab's do`;
    unknowns.push({ about: 'slab', sentence });
  }
  return unknowns;
}
