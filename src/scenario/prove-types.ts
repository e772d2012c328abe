/**
 * Whether types that were made of another kernel fit this one, member by member. Objects are laid out as the types say; then each
 * byte of a member and of what lies beside it is changed, and the kernel's own check and ours are asked again. A member that
 * the kernel keeps elsewhere is noticed by one of the two alone. It is proved when both said the same every time, and a change of
 * its own bytes changed what they said.
 */
import type { Introspection } from '../check/parameters.js';
import type { Copy } from '../check/verdict.js';
import { Guest } from '../guest/guest.js';
import { KernelObjects, type SlabObjects } from '../guest/objects.js';
import { type OffsetTable, typesFromTable } from '../image/offset-tables.js';
import { profileOf } from '../introspect/profile.js';
import type { Kernel } from '../kernel/kernel.js';
import { type BothChecks, type BothVerdicts, openBothChecks } from './differential.js';

export interface TypesProof {
  /** `struct.member`, in the order they were tried. */
  readonly proved: readonly string[];
  /** Members of the table that nothing has shown to be right. */
  readonly unproved: readonly string[];
  /** Members at which the kernel and the types were seen to differ, with the first difference. Empty: the types fit. */
  readonly contradicted: ReadonlyMap<string, string>;
  /** Members that this kernel's check is judged by: as long as one of them is not proved, the types are not. */
  readonly needed: readonly string[];
}

/** Bytes on either side of a member that are changed too. */
const BESIDE = 8;
/** Bits that are turned: those of flags and of small numbers, with which the kernel's arithmetic stays defined. */
const CHANGES = [0x01, 0x02, 0x04, 0x10] as const;
/** Milliseconds for one call: a tree that was damaged may have a loop. */
const TIME_LIMIT = 300;
const LINK_LIMIT = 64n;
/** Up to here an address is NULL and a member. ppc64le's guests have memory there; ours reads none. */
const NULL_BYTES = 4096n;

interface Experiment {
  readonly struct: string;
  readonly member: string;
  /** Address of the structure. */
  readonly at: bigint;
  readonly copies: readonly Copy[];
}

export interface ProveOptions {
  /** Structs, or single members (`page.flags`), that are tried; all when absent. */
  readonly only?: ReadonlySet<string> | undefined;
  /** Ends with the first member that is contradicted. */
  readonly untilContradicted?: boolean;
}

/**
 * Tries a table on a kernel whose check runs in a guest.
 * @throws UsercopyError what making a guest of the kernel throws; types that fit nothing make that fail too.
 */
export async function proveTypes(
  kernel: Kernel,
  table: OffsetTable,
  { only, untilContradicted = false }: ProveOptions = {},
): Promise<TypesProof & { readonly symbols: Kernel['symbols'] }> {
  const guest = await Guest.create({ ...kernel, types: typesFromTable(table, `types of ${table.source}`) });
  try {
    const objects = new KernelObjects(guest);
    objects.enableSlubDebug();
    const isWanted = ({ struct, member }: { struct: string; member: string }): boolean =>
      only === undefined || only.has(struct) || only.has(`${struct}.${member}`);
    const experiments = experimentsOf(guest, objects, table).filter(isWanted);
    const needed = neededMembers(guest, objects.facts, table)
      .filter(isWanted)
      .map(({ struct, member }) => `${struct}.${member}`);
    const checks = await openBothChecks(guest, { timeLimit: TIME_LIMIT });
    try {
      const isUndefined = leadsBetweenPages(guest, objects);
      const tried = tryAll({ guest, checks, table, isUndefined }, experiments, untilContradicted);
      return { ...tried, needed, symbols: guest.kernel.symbols };
    } finally {
      checks.close();
    }
  } finally {
    guest.close();
  }
}

interface Trial {
  readonly guest: Guest;
  readonly checks: BothChecks;
  readonly table: OffsetTable;
  /** Whether the kernel now goes on with what C leaves undefined, of which nothing can be told. */
  readonly isUndefined: (changed: bigint) => boolean;
}

/** page_address() of a head subtracts pointers: where a tail leads between two struct pages the compiler may answer anything. */
function leadsBetweenPages(guest: Guest, objects: KernelObjects): Trial['isUndefined'] {
  const { size, compoundHead, tailsHoldMask } = objects.facts.page;
  const { start, end } = objects.structPages();
  return (changed) => {
    if (tailsHoldMask || changed < start || changed >= end) return false;
    const within = ((changed - start) % BigInt(size)) - BigInt(compoundHead.offset);
    if (within < 0n || within >= BigInt(compoundHead.size)) return false;
    const info = guest.memory.readUnsigned(changed - within, compoundHead.size);
    return (info & 1n) !== 0n && (info - 1n - start) % BigInt(size) !== 0n;
  };
}

function tryAll(
  trial: Trial,
  experiments: readonly Experiment[],
  untilContradicted: boolean,
): Omit<TypesProof, 'needed'> {
  const proved: string[] = [];
  const contradicted = new Map<string, string>();
  for (const experiment of experiments) {
    const name = `${experiment.struct}.${experiment.member}`;
    const result = tryMember(trial, experiment);
    if (result.difference !== null) contradicted.set(name, result.difference);
    else if (result.followed) proved.push(name);
    if (untilContradicted && contradicted.size > 0) break;
  }
  const all = Object.entries(trial.table.structs).flatMap(([struct, { members }]) =>
    Object.keys(members).map((member) => `${struct}.${member}`),
  );
  return { proved, contradicted, unproved: all.filter((name) => !proved.includes(name)) };
}

interface MemberResult {
  /** What the two checks said otherwise than each other; null: they always agreed. */
  readonly difference: string | null;
  /** A change of the member's own bytes changed what they said. */
  readonly followed: boolean;
}

function tryMember({ guest, checks, table, isUndefined }: Trial, experiment: Experiment): MemberResult {
  const { struct, member, at, copies } = experiment;
  // The experiments are made of the table.
  const [offset, size] = table.structs[struct]!.members[member]!;
  const said = (copy: Copy) => checks.ask(copy);
  const before = copies.map(said);
  // What was laid out by these types must be an answer, and the same one.
  const wrong = before.find(({ agree, faulted }) => !agree || faulted);
  if (wrong !== undefined) return { difference: differenceOf(wrong), followed: false };
  const whole = guest.memory.snapshot();
  let followed = false;
  for (let place = offset - BESIDE; place < offset + size + BESIDE; place++) {
    const address = at + BigInt(place);
    const original = guest.memory.tryRead(address, 1)?.[0];
    if (original === undefined) continue;
    const isOwn = place >= offset && place < offset + size;
    for (const change of CHANGES) {
      guest.memory.write(address, Uint8Array.of(original ^ change));
      const after = isUndefined(address) ? [] : untilFault(copies, said);
      guest.memory.write(address, Uint8Array.of(original));
      // A kernel that was led astray says nothing of where it reads; it may hold a lock.
      if (after.some(({ faulted }) => faulted)) {
        guest.memory.restore(whole);
        if (isOwn) followed = true;
        continue;
      }
      // A size of zero, a count that is too large, NULL: where that traps the kernel ends there, where it does not it goes on with nonsense.
      const isNonsense = (address: bigint): boolean =>
        address < NULL_BYTES || guest.memory.tryRead(address, 1) !== undefined;
      if (after.some(({ unreadable }) => unreadable !== null && isNonsense(unreadable))) continue;
      const different = after.find(({ agree }) => !agree);
      if (different !== undefined) {
        return { difference: `byte ${place}, ^ ${change}: ${differenceOf(different)}`, followed };
      }
      if (isOwn && after.some(({ guest: line }, index) => line !== before[index]?.guest)) followed = true;
    }
  }
  return { difference: null, followed };
}

/** What is said of the copies, up to the first one that faults: a loop takes the whole time limit, and one is enough. */
function untilFault(copies: readonly Copy[], said: (copy: Copy) => BothVerdicts): BothVerdicts[] {
  const verdicts: BothVerdicts[] = [];
  for (const copy of copies) {
    const verdict = said(copy);
    verdicts.push(verdict);
    if (verdict.faulted) break;
  }
  return verdicts;
}

const differenceOf = ({ guest, ours }: { guest: string | null; ours: string | null }): string =>
  `the kernel: ${guest ?? 'passes'}; by these types: ${ours ?? 'passes'}`;

/** Objects of every kind that the check looks at, with copies that it answers otherwise when a member changes. */
function experimentsOf(guest: Guest, objects: KernelObjects, table: OffsetTable): Experiment[] {
  const has = (struct: string, member: string): boolean => table.structs[struct]?.members[member] !== undefined;
  const experiments: Experiment[] = [];
  const add = (struct: string, members: readonly string[], at: bigint, copies: readonly Copy[]): void => {
    for (const member of members) if (has(struct, member)) experiments.push({ struct, member, at, copies });
  };
  const copy = (pointer: bigint, size: bigint): Copy => ({ pointer, size, direction: 'to_user' });
  const page = 1n << BigInt(guest.layout.pageShift);
  const around = ({ object }: SlabObjects, index: number, first: bigint, length: bigint): Copy[] => [
    copy(object(index) + first, length),
    copy(object(index) + first, length + 1n),
    copy(object(index) + first - 1n, 2n),
    copy(object(index) + first + length, 1n),
  ];

  const plain = objects.makeSlab({ name: 'proof', objectSize: 168, size: 192, useroffset: 40, usersize: 56 });
  add('kmem_cache', ['useroffset', 'usersize', 'size', 'name'], plain.cache, around(plain, 3, 40n, 56n));
  const zoned = objects.makeSlab({
    ...{ name: 'zoned', objectSize: 88, size: 320, useroffset: 8, usersize: 40, redLeftPad: 64 },
  });
  const inZone = [copy(zoned.object(2) - 4n, 4n), ...around(zoned, 2, 8n, 40n)];
  add('kmem_cache', ['flags', 'red_left_pad'], zoned.cache, inZone);

  const wide = objects.makeSlab({ name: 'wide', objectSize: 120, size: 128, useroffset: 0, usersize: 24, order: 1 });
  const inTail = [copy(wide.start + page, 24n), copy(wide.start + page, 25n)];
  const inHead = [copy(plain.object(2) + 40n, 56n), copy(plain.object(2) + 40n, 57n)];
  const head = objects.structPage(plain.start);
  add('page', ['flags', 'page_type', 'slab_cache', 's_mem'], head, inHead);
  add('slab', ['slab_cache', 's_mem'], head, inHead);
  add('page', ['compound_head', 'compound_info'], objects.structPage(wide.start + page), inTail);
  const folio = objects.makeCompoundPage(2);
  const inFolio = [copy(folio.start + page, 3n * page), copy(folio.start + page, 3n * page + 1n)];
  add('folio', ['_folio_order', '_flags_1'], objects.structPage(folio.start), inFolio);
  add('page', ['compound_order'], objects.structPage(folio.start + page), inFolio);

  const tree = makeTree(guest, objects);
  if (tree !== null) {
    const area = areaOf(tree, copy);
    add('vmap_area', ['va_start', 'va_end'], area.at, area.copies);
    const node = nodeOf(tree, copy);
    add('rb_node', ['rb_left', 'rb_right'], node.at, node.copies);
    add('vmap_area', ['rb_node'], area.at, node.copies);
  }

  const { pageValidity } = objects.facts;
  if (pageValidity.kind === 'memblock') {
    const { memory, regions } = pageValidity;
    add('memblock_type', ['cnt', 'regions'], memory, inHead);
    const first = guest.memory.readUnsigned(memory + BigInt(regions.offset), regions.size);
    add('memblock_region', ['base', 'size', 'flags'], first, inHead);
  }

  const { start, end } = guest.stack;
  const onStack = [copy(end - 256n, 64n), copy(end - 16n, 32n), copy(start + 64n, 16n)];
  add('task_struct', ['stack'], guest.task, onStack);
  const noArea = guest.layout.vmallocEnd - page * 4n;
  add('task_struct', ['pagefault_disabled'], guest.task, [copy(noArea, 8n)]);
  return experiments;
}

interface Member {
  readonly struct: string;
  readonly member: string;
}

/**
 * What the check reads of this kernel, as far as experiments ask for it. A table in which two structures are wrong may leave no objects
 * to make experiments with, a tree of areas for example: nothing contradicts it then, and nothing proves it.
 */
function neededMembers(guest: Guest, facts: Introspection, table: OffsetTable): Member[] {
  const { profile } = profileOf(guest.kernel, guest.variant);
  const { folio, vmalloc } = profile.switches;
  const { slab, page, pageValidity } = facts;
  const needed: Member[] = [];
  const need = (struct: string, ...members: readonly string[]): void => {
    for (const member of members) needed.push({ struct, member });
  };
  /** The first of some members that the table has: they have the place of one another. */
  const needOne = (...names: readonly (readonly [string, string])[]): void => {
    const found = names.find(([struct, member]) => table.structs[struct]?.members[member] !== undefined);
    if (found !== undefined) need(...found);
  };
  need('kmem_cache', 'name', 'size');
  if (slab.useroffset !== null) need('kmem_cache', 'useroffset', 'usersize');
  if (slab.redLeftPad !== null && slab.redZone !== 0n) need('kmem_cache', 'flags', 'red_left_pad');
  need('page', page.slab.kind === 'flag' ? 'flags' : 'page_type');
  needOne(['page', 'compound_info'], ['page', 'compound_head']);
  needOne(['slab', 'slab_cache'], ['page', 'slab_cache']);
  if (folio) needOne(['folio', '_folio_order'], ['folio', '_flags_1'], ['page', 'compound_order']);
  // Also where no tree was found: that wrong types lead to none is no reason to do without the rule.
  if (vmalloc !== 'off') {
    need('vmap_area', 'va_start', 'va_end', 'rb_node');
    need('rb_node', 'rb_left', 'rb_right');
  }
  if (vmalloc === 'vmap_area, page faults enabled') need('task_struct', 'pagefault_disabled');
  need('task_struct', 'stack');
  if (pageValidity.kind === 'memblock') {
    need('memblock_type', 'regions');
    need('memblock_region', 'base', 'size');
  }
  return needed;
}

interface Placed {
  readonly at: bigint;
  readonly copies: readonly Copy[];
}

type MakeCopy = (pointer: bigint, size: bigint) => Copy;

interface Area {
  readonly start: bigint;
  readonly guardEnd: bigint;
}

/** Three areas in one tree: the middle one at its top. */
interface Tree {
  readonly nodes: readonly [bigint, bigint, bigint];
  readonly areas: readonly [Area, Area, Area];
  /** Bytes from an area to its node. */
  readonly nodeOffset: bigint;
}

function makeTree(guest: Guest, objects: KernelObjects): Tree | null {
  const { vmap } = objects.facts;
  if (vmap.kind === 'none') return null;
  const [first, second, third] = [objects.makeVmallocArea(2), objects.makeVmallocArea(3), objects.makeVmallocArea(2)];
  const areas = [first, second, third] as const;
  const { rbNode, rbLeft, rbRight, vaStart } = vmap.area;
  const { memory } = guest;
  const root = objects.treeOf(first.start);
  if (root === null) return null;
  const startOf = (node: bigint): bigint =>
    memory.readUnsigned(node - BigInt(rbNode) + BigInt(vaStart.offset), vaStart.size);
  const find = (start: bigint): bigint | null => {
    let node = memory.readWord(root);
    for (let step = 0n; node !== 0n && step < LINK_LIMIT; step++) {
      const at = startOf(node);
      if (at === start) return node;
      node = memory.readWord(node + BigInt(start < at ? rbLeft.offset : rbRight.offset));
    }
    return null;
  };
  const nodes = areas.map(({ start }) => find(start));
  const [low, middle, high] = nodes;
  if (low == null || middle == null || high == null) return null;
  // They were inserted in ascending order: whatever led to the first leads to the middle one now.
  const link = linkTo(guest, root, low, [rbLeft.offset, rbRight.offset]);
  if (link === null) return null;
  memory.writeWord(link, middle);
  memory.writeWord(middle + BigInt(rbLeft.offset), low);
  memory.writeWord(middle + BigInt(rbRight.offset), high);
  memory.writeWord(low + BigInt(rbRight.offset), 0n);
  return { nodes: [low, middle, high], areas, nodeOffset: BigInt(rbNode) };
}

/** The word in a tree that holds the address of a node. */
function linkTo({ memory }: Guest, root: bigint, node: bigint, sides: readonly number[]): bigint | null {
  const open = [root];
  for (let step = 0n; step < LINK_LIMIT; step++) {
    const link = open.pop();
    if (link === undefined) break;
    const found = memory.readWord(link);
    if (found === node) return link;
    if (found !== 0n) for (const side of sides) open.push(found + BigInt(side));
  }
  return null;
}

function areaOf(tree: Tree, copy: MakeCopy): Placed {
  const { start, guardEnd } = tree.areas[1];
  const size = guardEnd - start - 16n;
  const copies = [copy(start + 16n, size), copy(start + 16n, size + 1n), copy(start, 8n)];
  return { at: tree.nodes[1] - tree.nodeOffset, copies };
}

function nodeOf(tree: Tree, copy: MakeCopy): Placed {
  const copies = [tree.areas[0], tree.areas[2]].flatMap(({ start, guardEnd }) => {
    return [copy(start + 8n, guardEnd - start - 8n), copy(start + 8n, guardEnd - start)];
  });
  return { at: tree.nodes[1], copies };
}
