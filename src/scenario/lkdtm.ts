/**
 * Copies that every real kernel judges by itself: the crash types of LKDTM (drivers/misc/lkdtm/usercopy.c) and their
 * neighbours, each with a good twin, put to the kernel's own `__check_object_size`.
 */

import type { Direction } from '../check/verdict.js';
import type { Guest } from '../guest/guest.js';
import type { KernelObjects } from '../guest/objects.js';
import { profileOf } from '../introspect/profile.js';
import { kmallocName } from '../introspect/slab.js';
import type { TwinCase } from './twins.js';

/** LKDTM copies 32 bytes of stack. */
const STACK_BYTES = 32n;

/** LKDTM's caches: objects of this size, a quarter of the way in a window of a sixteenth. */
const SLAB_BYTES = 1024;
const WINDOW_OFFSET = SLAB_BYTES / 4;
const WINDOW_BYTES = SLAB_BYTES / 16;

/** Whether the kernel's check has the page-span rules, and so looks at CMA pages. */
export const asksForPageSpans = ({ kernel, variant }: Guest): boolean =>
  profileOf(kernel, variant).profile.switches.pageSpan !== 'off';

/** Lists the copies; with `objects` also those of memory that allocators would have made. */
export function lkdtmCases(guest: Guest, objects: KernelObjects | null): TwinCase[] {
  const cases: TwinCase[] = [];
  const both = (name: string, pointer: bigint, size: bigint): void => {
    for (const direction of ['to_user', 'from_user'] as const satisfies readonly Direction[]) {
      cases.push({ name: `${name}, ${direction.replace('_', ' ')}`, copy: { pointer, size, direction } });
    }
  };
  addAddressCases(guest, both);
  addStackCases(guest, both);
  addImageCases(guest, both);
  addKmapCases(guest, both);
  if (objects) {
    addSlabCases(guest, objects, both);
    addPageCases(guest, objects, both);
    addVmallocCases(guest, objects, both);
  }
  return cases;
}

type AddBoth = (name: string, pointer: bigint, size: bigint) => void;

function addAddressCases(guest: Guest, both: AddBoth): void {
  const top = guest.kernel.bits === 64 ? 0xffffffffffffffffn : 0xffffffffn;
  both('empty', 0n, 0n);
  both('null', 0n, 16n);
  both('ZERO_SIZE_PTR', 16n, 16n);
  both('wrapped', top - 7n, 16n);
  both('user memory', guest.user.address, 64n);
}

function addStackCases(guest: Guest, both: AddBoth): void {
  const { start, end } = guest.stack;
  both('stack: above the stack pointer', guest.stackPointer + 64n, STACK_BYTES);
  both('stack: the last bytes', end - STACK_BYTES, STACK_BYTES);
  // LKDTM's bad frame: a local of a function that has returned.
  both('stack: frame that is gone', guest.stackPointer - 512n, STACK_BYTES);
  both('stack: below the stack pointer', guest.stackPointer - 2048n, STACK_BYTES);
  both('stack: across its start', start - 8n, STACK_BYTES);
  both('stack: beyond', end - 8n, STACK_BYTES);
}

function addImageCases(guest: Guest, both: AddBoth): void {
  const text = guest.symbol('_stext');
  both('kernel text', text + 64n, 1024n);
  both('kernel text: across its start', text - 8n, 16n);
  both('kernel text: across its end', guest.symbol('_etext') - 8n, 16n);
  const linear = BigInt.asUintN(
    64,
    text - guest.layout.imageOffset - guest.memory.ram.physicalBase + guest.memory.linearAddress,
  );
  if (linear !== text) both('linear kernel text', linear + 64n, 64n);
  // Rodata follows the text; images without the names of variables do not say where.
  const rodata = guest.kernel.symbols.address('__start_rodata') ?? (guest.symbol('_etext') | 0xffffn) + 1n;
  both('rodata', rodata + 64n, 64n);
}

/** Slots of kmap(), where there is highmem. No check looks at what is mapped there. */
function addKmapCases(guest: Guest, both: AddBoth): void {
  const page = 1n << BigInt(guest.layout.pageShift);
  for (const [index, { start, end }] of guest.layout.kmap.entries()) {
    const which = index === 0 ? 'kmap' : `kmap, slots ${index + 1}`;
    both(`${which}: good`, start + 3n * page + 16n, page - 16n);
    both(`${which}: past the page`, start + 3n * page + 16n, page - 15n);
    both(`${which}: the last slot`, end - 32n, 64n);
  }
}

function addSlabCases(guest: Guest, objects: KernelObjects, both: AddBoth): void {
  const size = BigInt(SLAB_BYTES);
  const plain = objects
    .makeSlab({
      name: kmallocName(SLAB_BYTES, guest.kernel.version),
      objectSize: SLAB_BYTES,
      size: SLAB_BYTES,
      useroffset: 0,
      usersize: SLAB_BYTES,
      order: 1,
    })
    .object(2);
  both('slab size: good', plain + 16n, size / 2n);
  both('slab size: past the object', plain + 16n, size);

  const window = { useroffset: WINDOW_OFFSET, usersize: WINDOW_BYTES };
  const listed = objects
    .makeSlab({ name: 'lkdtm-usercopy', objectSize: SLAB_BYTES, size: SLAB_BYTES, ...window })
    .object(1);
  both('slab whitelist: the window', listed + BigInt(WINDOW_OFFSET), BigInt(WINDOW_BYTES));
  both('slab whitelist: before the window', listed + BigInt(WINDOW_OFFSET) - 1n, BigInt(WINDOW_BYTES));
  both('slab whitelist: past the window', listed + BigInt(WINDOW_OFFSET) + 1n, BigInt(WINDOW_BYTES));
  const closed = objects.makeSlab({
    name: 'task_struct',
    objectSize: 4000,
    size: 4032,
    useroffset: 0,
    usersize: 0,
    order: 2,
  });
  both('slab whitelist: none', closed.object(0) + 100n, 8n);

  objects.enableSlubDebug();
  const zoned = objects.makeSlab({
    name: 'red-zoned',
    objectSize: 96,
    size: 160,
    useroffset: 0,
    usersize: 96,
    redLeftPad: 32,
  });
  both('slab red zone: the object', zoned.object(3), 96n);
  both('slab red zone: left of it', zoned.object(3) - 8n, 8n);
  both('slab red zone: right of it', zoned.object(3) + 90n, 8n);
  addKfenceCases(objects, both);
}

/** KFENCE's objects are slab objects, counted from where its own record says. */
function addKfenceCases(objects: KernelObjects, both: AddBoth): void {
  const guarded = objects.makeKfenceObject({ name: 'guarded', objectSize: 72, useroffset: 8, usersize: 40 });
  if (guarded === null) return;
  const { start, page } = guarded;
  both('kfence: the window', start + 8n, 40n);
  both('kfence: past the window', start + 9n, 40n);
  both('kfence: before the object', start - 8n, 8n);
  both('kfence: the first bytes of its page', page, 8n);
}

function addPageCases(guest: Guest, objects: KernelObjects, both: AddBoth): void {
  const page = 1n << BigInt(guest.layout.pageShift);
  const folio = objects.makeCompoundPage(1);
  both('folio: good', folio.start + page - 16n, 32n);
  both('folio: past its end', folio.end - 16n, 32n);
  const plain = objects.makePages(3);
  both('pages: in one', plain.start + 16n, 64n);
  both('pages: span', plain.start + page - 16n, 32n);
  const reserved = objects.makePages(2);
  objects.setReserved(reserved.start, 1);
  both('pages: Reserved and not', reserved.start + page - 16n, 32n);
  const cma = asksForPageSpans(guest) ? objects.makeCmaBlock() : null;
  if (cma === null) return;
  both('pages: CMA', cma.start + page - 16n, 2n * page);
  // Far enough to be noticed: the last page of a range may be left out.
  both('pages: CMA and not', cma.end - 16n, page + 32n);
}

function addVmallocCases(guest: Guest, objects: KernelObjects, both: AddBoth): void {
  const page = 1n << BigInt(guest.layout.pageShift);
  for (let index = 1; index < 6; index++) objects.makeVmallocArea(index);
  const area = objects.makeVmallocArea(2);
  both('vmalloc: good', area.start + 16n, page);
  both('vmalloc: into the guard page', area.end - 16n, 32n);
  both('vmalloc: beyond', area.guardEnd - 16n, 32n);
  both('vmalloc: no area', guest.layout.vmallocEnd - 64n * page, 32n);
}
