/** Memory objects that a kernel usually has, for guests that no scenario describes. */
import { kmallocName } from '../introspect/slab.js';
import type { ScenarioObject } from './format.js';
import type { ObjectsFor } from './furnish.js';

const GENERAL_SIZES = [8, 16, 32, 64, 96, 128, 192, 256, 512, 1024, 2048, 4096, 8192];

/** What a guest is given when nobody says what it shall have. */
export const usualObjects: ObjectsFor = ({ version }) => ({
  // One slab of each general cache; any byte of its objects may be copied.
  ...Object.fromEntries(
    GENERAL_SIZES.map((size): [string, ScenarioObject] => [
      `kmalloc_${size}`,
      { slab: { cache: kmallocName(size, version), objectSize: size, index: size > 2048 ? 0 : 1 } },
    ]),
  ),
  // No byte of a cred may be copied.
  cred: { slab: { cache: 'cred_jar', objectSize: 168, size: 192, useroffset: 0, usersize: 0, index: 1 } },
  folio: { compoundPage: { order: 2 } },
  vmalloc: { vmalloc: { pages: 4 } },
  scratch: { bytes: { size: 4096 } },
});

/** Those among them that calls name. */
export const usualObjectsIn = (calls: readonly string[]): ObjectsFor => {
  const named = new Set(calls.flatMap((call) => call.match(/\w+/g) ?? []));
  return (kernel) => Object.fromEntries(Object.entries(usualObjects(kernel)).filter(([name]) => named.has(name)));
};
