/** What was proved of a kernel's types, in a folder: a proof runs the kernel's check for seconds. */
import { createHash } from 'node:crypto';
import * as fs from 'node:fs/promises';
import * as path from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { builtCheck } from '../engine/built-check.js';
import { type OffsetTable, requireOffsetTable } from '../image/offset-tables.js';
import type { Kernel } from '../kernel/kernel.js';
import type { ProofOptions, ProvedTypes, provedTypes } from './proved-types.js';

/** Which proof it was, with the check itself: another one is done again. Raised when the proof changes. */
const PROOF = 3;

/** The types that were proved before, by what the proof depends on; else those that `prove` finds. A failure is not kept. */
export async function keptProof(
  folder: string,
  kernel: Kernel,
  tables: readonly OffsetTable[],
  options: ProofOptions,
  prove: typeof provedTypes,
): Promise<ProvedTypes> {
  const file = path.join(folder, `${digestOf(kernel, tables, options)}.json`);
  const kept = await fs.readFile(file, 'utf8').then(
    (text) => read(text, tables),
    () => null,
  );
  if (kept !== null) return kept;
  const found = await prove(kernel, tables, options);
  if (found.table !== null) await keep(file, found);
  return found;
}

function digestOf(
  { variant, segments, symbols, config }: Kernel,
  tables: readonly OffsetTable[],
  { only, mostTrials }: ProofOptions,
): string {
  const hash = createHash('sha256');
  const options = [only === undefined ? null : [...only].sort(), mostTrials ?? null];
  hash.update(builtCheck.module());
  hash.update(JSON.stringify([PROOF, variant, tables, options, config?.text ?? null]));
  for (const { name, address } of symbols) hash.update(`${address} ${name}\n`);
  for (const { address, bytes, size } of segments) hash.update(`${address} ${size}\n`).update(bytes);
  return hash.digest('hex');
}

/** null for a file that is not what `keep()` writes of one of these tables: it is proved again. */
function read(text: string, tables: readonly OffsetTable[]): ProvedTypes | null {
  try {
    const { table: kept, note } = JSON.parse(text);
    const table = requireOffsetTable(kept, 'a kept proof');
    return typeof note === 'string' && tables.some((other) => isMadeOf(table, other)) ? { table, note } : null;
  } catch {
    return null;
  }
}

/** Whether a table is another one with members that were moved or taken away. */
function isMadeOf(table: OffsetTable, other: OffsetTable): boolean {
  const same = (['variant', 'source', 'releases', 'enumerators'] as const).every((field) =>
    isDeepStrictEqual(table[field], other[field]),
  );
  const names = Object.keys(other.structs);
  return (
    same &&
    isDeepStrictEqual(Object.keys(table.structs), names) &&
    names.every((name) => {
      const members = other.structs[name]?.members ?? {};
      return Object.keys(table.structs[name]?.members ?? {}).every((member) => Object.hasOwn(members, member));
    })
  );
}

/** A cache that cannot be written costs time, nothing else. */
async function keep(file: string, found: ProvedTypes): Promise<void> {
  const part = `${file}.${process.pid}.part`;
  await fs
    .mkdir(path.dirname(file), { recursive: true })
    .then(() => fs.writeFile(part, JSON.stringify(found)))
    .then(() => fs.rename(part, file))
    .catch(() => fs.rm(part, { force: true }));
}
