/** Paths through real kernels: the check on each of its ways, and functions that lie around it. */
import type { CycleModel } from '../../src/cycles/price.js';
import type { CodeBlock } from '../../src/engine/engine.js';
import type { Guest } from '../../src/guest/guest.js';
import { costOfCall } from '../../src/guest/path-cost.js';
import { copyRoutine } from '../copy-routine.js';
import { objectsOf, PATHS, pathCopies, type Source } from '../world.js';

export interface Trace {
  readonly name: string;
  readonly blocks: readonly CodeBlock[];
}

const FORMAT = 'usercopy: Kernel memory %s attempt detected %s SLUB object %s\0';

/** The check on each of its ways. The guest's memory is as it was. */
export async function checkTraces(guest: Guest, source: Source, model: CycleModel): Promise<Trace[]> {
  const traces: Trace[] = [];
  const copies = pathCopies(guest, objectsOf(guest, source));
  const before = guest.snapshot();
  for (const path of PATHS) {
    const { pointer, size } = copies[path];
    const { path: blocks } = await costOfCall(guest, '__check_object_size', [pointer, size, 1n], model);
    traces.push({ name: `check, ${path}`, blocks });
    guest.restore(before);
  }
  return traces;
}

/** The check, `snprintf` and copies of a kernel. @throws UsercopyError `guest` where it has no routine that copies. */
export async function tracesOf(guest: Guest, source: Source, model: CycleModel): Promise<Trace[]> {
  const traces = await checkTraces(guest, source, model);
  const before = guest.snapshot();
  const buffer = guest.memory.allocate(0x1000n);
  const words = guest.memory.allocate(0x1000n);
  guest.memory.write(words, Buffer.from(FORMAT));
  guest.memory.write(words + 0x800n, Buffer.from('kmalloc-64\0'));
  const prepared = guest.snapshot();
  const note = async (name: string, target: string | bigint, args: readonly bigint[]) => {
    guest.restore(prepared);
    const { path } = await costOfCall(guest, target, args, model);
    traces.push({ name, blocks: path });
  };
  const text = words + 0x800n;
  await note('snprintf', 'snprintf', [buffer, 400n, words, text, text, text]);
  const copy = copyRoutine(guest);
  for (const size of [8n, 64n, 144n]) await note(`copy of ${size} bytes`, copy.address, copy.arguments(buffer, size));
  guest.restore(before);
  return traces;
}
