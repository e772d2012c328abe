/** Declared memory: the sorted tables that the module searches. */

import { badInput, hex } from '../errors.js';
import { countBefore } from '../kernel/sorted.js';
import { aBigInt, aText, requireFields, requireOptions } from '../options.js';
import { type ControlArea, DECLARED_TABLES, hintBits } from './control.js';
import { type Layout, Structure } from './layout.js';
import type { AddressRange, Declaration } from './parameters.js';

/** The context's fields for a table of one or more `name`. */
const fieldsOf = (name: string) => ({
  table: `${name}s`,
  count: `${name}Count`,
  start: `${name}Start`,
  span: `${name}Span`,
  hints: `${name}Hints`,
});

/** The context's fields for each table, and which declarations stand in it. */
const TABLES = [
  fieldsOf('declaredStack'),
  fieldsOf('declaredKmap'),
  fieldsOf('declaredVmallocSpace'),
  fieldsOf('declaredVmallocArea'),
  fieldsOf('declaredObject'),
];

const TABLE_OF: Record<Declaration['kind'], number> = {
  stack: 0,
  kmap: 1,
  'vmalloc space': 2,
  'vmalloc area': 3,
  slab: 4,
  'compound page': 4,
  pages: 4,
};

const RANGE_RULES = { kind: { words: Object.keys(TABLE_OF) }, start: aBigInt, end: aBigInt };
const PAGES_RULES = { ...RANGE_RULES, type: { words: ['plain', 'Reserved', 'CMA'] } };
const SLAB_NEEDS = { ...RANGE_RULES, cache: aText, objectStride: aBigInt, objectSize: aBigInt };
const SLAB_RULES = { ...SLAB_NEEDS, redLeftPad: aBigInt, useroffset: aBigInt, usersize: aBigInt };

/** @throws UsercopyError `bad-input` for an unknown kind, a field that it does not have, and one that it lacks. */
function requireDeclaration(declaration: Declaration): void {
  requireFields('declaration', declaration, { kind: RANGE_RULES.kind });
  const { kind } = declaration;
  const where = `declared ${kind}`;
  requireOptions(where, declaration, kind === 'slab' ? SLAB_RULES : kind === 'pages' ? PAGES_RULES : RANGE_RULES);
  requireFields(where, declaration, kind === 'slab' ? SLAB_NEEDS : kind === 'pages' ? PAGES_RULES : RANGE_RULES);
}

const PAGE_KINDS = { plain: 'PLAIN_PAGES', Reserved: 'RESERVED_PAGES', CMA: 'CMA_PAGES' } as const;

const rangeText = (range: AddressRange): string => `[${hex(range.start)}, ${hex(range.end)})`;

function requireU32(where: string, name: string, value: bigint): void {
  if (value < 0n || value > 0xffff_ffffn) throw badInput(where, `${name} of 0 to 2^32 - 1 bytes`, String(value));
}

interface SlabNumbers {
  readonly objectStride: bigint;
  readonly objectSize: bigint;
  readonly redLeftPad: bigint;
  readonly useroffset: bigint;
  readonly usersize: bigint;
}

/** Of declarations that are no slabs: the module divides by the stride only. */
const NO_SLAB: SlabNumbers = { objectStride: 1n, objectSize: 0n, redLeftPad: 0n, useroffset: 0n, usersize: 0n };

/** The numbers of a declared slab, defaults filled in; an error where they contradict each other. */
function slabNumbers(slab: Extract<Declaration, { kind: 'slab' }>): SlabNumbers {
  const where = `declared slab '${slab.cache}' at ${hex(slab.start)}`;
  const redLeftPad = slab.redLeftPad ?? 0n;
  const useroffset = slab.useroffset ?? 0n;
  const usersize = slab.usersize ?? slab.objectSize - useroffset;
  requireU32(where, 'objectStride', slab.objectStride);
  requireU32(where, 'objectSize', slab.objectSize);
  requireU32(where, 'redLeftPad', redLeftPad);
  requireU32(where, 'useroffset', useroffset);
  requireU32(where, 'usersize', usersize);
  if (slab.objectStride === 0n) throw badInput(where, 'an objectStride above 0', '0');
  if (redLeftPad + slab.objectSize > slab.objectStride) {
    throw badInput(
      where,
      `redLeftPad + objectSize within objectStride ${slab.objectStride}`,
      `${redLeftPad} + ${slab.objectSize}`,
    );
  }
  if (useroffset + usersize > slab.objectSize) {
    throw badInput(where, `a whitelist inside the object of ${slab.objectSize} bytes`, `${useroffset} + ${usersize}`);
  }
  return { objectStride: slab.objectStride, objectSize: slab.objectSize, redLeftPad, useroffset, usersize };
}

interface Entry {
  readonly id: number;
  readonly declaration: Declaration;
}

export class DeclarationTables {
  readonly #memory: WebAssembly.Memory;
  readonly #layout: Layout;
  readonly #context: Structure;
  readonly #start: number;
  readonly #capacity: number;
  readonly #entryBytes: number;
  readonly #tables: Entry[][] = TABLES.map(() => []);
  readonly #byId = new Map<number, Declaration>();
  #nextId = 1;

  constructor(memory: WebAssembly.Memory, layout: Layout, area: ControlArea, capacity: number) {
    this.#memory = memory;
    this.#layout = layout;
    this.#context = new Structure(memory, layout, 'ContextLayout', area.context);
    this.#start = area.declared;
    this.#capacity = capacity;
    this.#entryBytes = layout.get('DeclaredLayout', 'BYTES');
    if (TABLES.length !== DECLARED_TABLES) throw new Error('the control area has room for another number of tables');
    const bits = hintBits(capacity);
    this.#context.setU32('declaredHintShift', 32 - bits);
    TABLES.forEach(({ hints }, index) => {
      this.#context.setU32(hints, area.declaredHints + index * 4 * 2 ** bits);
      this.#writeCount(index);
    });
  }

  /** How many there are. */
  get count(): number {
    return this.#byId.size;
  }

  /** Names of declared slabs' caches by the declaration's number. */
  slabCaches(): Map<number, string> {
    const caches = new Map<number, string>();
    for (const [id, declaration] of this.#byId) if (declaration.kind === 'slab') caches.set(id, declaration.cache);
    return caches;
  }

  get(id: number): Declaration | undefined {
    return this.#byId.get(id);
  }

  #tableOffset(index: number): number {
    return this.#start + index * this.#capacity * this.#entryBytes;
  }

  #tableAt(index: number): Entry[] {
    // One for each of TABLES, which TABLE_OF counts in.
    return this.#tables[index]!;
  }

  #writeCount(index: number): void {
    const fields = TABLES[index];
    if (fields === undefined) return;
    this.#context.setU32(fields.table, this.#tableOffset(index));
    this.#context.setU32(fields.count, this.#tableAt(index).length);
    const [first, last] = [this.#tableAt(index)[0]?.declaration, this.#tableAt(index).at(-1)?.declaration];
    this.#context.setU64(fields.start, first?.start ?? 0n);
    this.#context.setU64(fields.span, first && last ? last.end - first.start : 0n);
  }

  add(declaration: Declaration): void {
    requireDeclaration(declaration);
    const index = TABLE_OF[declaration.kind];
    const { start, end } = declaration;
    if (start < 0n || end <= start || end >= 1n << 64n) {
      throw badInput(`declared ${declaration.kind}`, 'a range start < end < 2^64', rangeText(declaration));
    }
    const entries = this.#tableAt(index);
    const low = countBefore(entries, (entry) => entry.declaration.start <= start);
    const before = entries[low - 1]?.declaration;
    const after = entries[low]?.declaration;
    const other = before && before.end > start ? before : after && after.start < end ? after : undefined;
    if (other) {
      throw badInput(
        `declared ${declaration.kind} ${rangeText(declaration)}`,
        'addresses that no such declaration holds yet',
        `${other.kind} ${rangeText(other)}`,
      );
    }
    if (entries.length === this.#capacity) {
      throw badInput('declarations', `at most ${this.#capacity} of one table (declaredCapacity)`, 'one more');
    }
    const numbers = declaration.kind === 'slab' ? slabNumbers(declaration) : NO_SLAB;
    const id = this.#nextId++;
    const at = this.#tableOffset(index) + low * this.#entryBytes;
    const tail = (entries.length - low) * this.#entryBytes;
    new Uint8Array(this.#memory.buffer).copyWithin(at + this.#entryBytes, at, at + tail);
    entries.splice(low, 0, { id, declaration });
    this.#byId.set(id, declaration);
    this.#writeEntry(at, id, declaration, numbers);
    this.#writeCount(index);
  }

  #writeEntry(at: number, id: number, declaration: Declaration, numbers: SlabNumbers): void {
    const entry = new Structure(this.#memory, this.#layout, 'DeclaredLayout', at);
    const kind =
      declaration.kind === 'slab'
        ? 'SLAB'
        : declaration.kind === 'compound page'
          ? 'COMPOUND_PAGE'
          : declaration.kind === 'pages'
            ? PAGE_KINDS[declaration.type]
            : 'RANGE';
    entry.setU64('start', declaration.start);
    entry.setU64('end', declaration.end);
    entry.setU64('objectStride', numbers.objectStride);
    entry.setU64('objectSize', numbers.objectSize);
    for (const name of ['useroffset', 'usersize', 'redLeftPad'] as const) entry.setU32(name, Number(numbers[name]));
    entry.setU32('kind', this.#layout.get('DeclaredKind', kind));
    entry.setU32('id', id);
  }

  /** Takes back every declaration that starts at `start`; an error when there is none. */
  remove(start: bigint): void {
    let removed = 0;
    this.#tables.forEach((entries, index) => {
      const position = entries.findIndex((entry) => entry.declaration.start === start);
      const entry = entries[position];
      if (entry === undefined) return;
      removed++;
      this.#byId.delete(entry.id);
      const at = this.#tableOffset(index) + position * this.#entryBytes;
      const end = this.#tableOffset(index) + entries.length * this.#entryBytes;
      new Uint8Array(this.#memory.buffer).copyWithin(at, at + this.#entryBytes, end);
      entries.splice(position, 1);
      this.#writeCount(index);
    });
    if (!removed) throw badInput('undeclare', 'the first address of a declaration', hex(start));
  }

  clear(): void {
    this.#byId.clear();
    this.#tables.forEach((entries, index) => {
      entries.length = 0;
      this.#writeCount(index);
    });
  }
}
