/** The built-in guests: good and bad copies over every kind of memory, made by a small kernel of our own (`guests/`). */
import type { Declaration } from '../check/parameters.js';
import type { Direction } from '../check/verdict.js';
import { badInput } from '../errors.js';
import { Guest, type GuestOptions } from '../guest/guest.js';
import { bytesOf } from '../kernel/bytes.js';
import type { Kernel } from '../kernel/kernel.js';
import { decodeUnsigned, encodeUnsigned } from '../kernel/words.js';
import type { TwinCase } from './twins.js';

const MIB = 1n << 20n;
const OWN_RAM = 64n * MIB;
/** guest_init() takes no more; RAM above it belongs to nobody. */
const MOST_KNOWN_RAM = 1024n * MIB;
const SLAB_RED_ZONE = 0x400n;
/** Kinds of `guest_memory_map` in guests/memory_map.c that are memory of their own: what vmalloc() gives, slots of kmap(). */
const OWN_MEMORY: readonly bigint[] = [2n, 3n];

/** Profiles that the built-in guests' own check knows, by the enumerator that chooses each. */
export const OWN_PROFILES: Readonly<Record<string, string>> = {
  v3: 'USERCOPY_V3',
  'v3-cma': 'USERCOPY_V3_CMA',
  '6.1': 'USERCOPY_6_1',
};

/** The rules that a guest starts with. */
export const NEWEST_OWN_PROFILE = '6.1';

function ownMemory(kernel: Kernel): { address: bigint; size: bigint }[] {
  const table = kernel.symbols.address('guest_memory_map');
  const count = kernel.symbols.address('guest_memory_map_count');
  if (table === undefined || count === undefined) return [];
  const word = kernel.bits / 8;
  const type = kernel.types?.struct('guest_region');
  const read = (address: bigint, size: number): bigint => {
    const bytes = kernel.read(address, size);
    return bytes ? decodeUnsigned(bytes, kernel.endian) : 0n;
  };
  if (!type) return [];
  const regions: { address: bigint; size: bigint }[] = [];
  for (let index = 0n; index < read(count, word); index++) {
    const entry = table + index * BigInt(type.size);
    const kind = read(entry + BigInt(type.offset('kind')), 4);
    if (!OWN_MEMORY.includes(kind)) continue;
    regions.push({
      address: read(entry + BigInt(type.offset('virtual')), word),
      size: read(entry + BigInt(type.offset('size')), word),
    });
  }
  return regions;
}

/** Starts a built-in guest: its allocators are ready and its first task is current. RAM is 64 MiB unless told otherwise. */
export async function startOwnGuest(
  kernel: Kernel,
  options: Pick<GuestOptions, 'ramBytes' | 'openEngine' | 'checkSource'> = {},
): Promise<Guest> {
  const guest = await Guest.create(kernel, {
    ...options,
    ramBytes: options.ramBytes ?? OWN_RAM,
    regions: ownMemory(kernel),
  });
  try {
    const free = guest.memory.endOfFree - guest.memory.ram.physicalBase;
    const whole = free - (free % MIB);
    const known = whole < MOST_KNOWN_RAM ? whole : MOST_KNOWN_RAM;
    const task = await guest.callForValue('guest_init', [known]);
    // What lies above has no page frame: nobody shall make objects there.
    guest.memory.allocate(free - known);
    guest.enterTask(task);
    return guest;
  } catch (error) {
    guest.close();
    throw error;
  }
}

/** Chooses the rules of the guest's own check. @throws UsercopyError `bad-input` for rules that it does not know. */
export function chooseOwnProfile(guest: Guest, profile: string): void {
  const enumerator = OWN_PROFILES[profile];
  const value = enumerator === undefined ? undefined : guest.kernel.types?.enumerator(enumerator);
  if (value === undefined)
    throw badInput('--profile', `one of ${Object.keys(OWN_PROFILES).join(', ')} for a built-in guest`, profile);
  guest.memory.write(guest.symbol('usercopy_profile'), encodeUnsigned(value, 4, guest.kernel.endian));
}

/** Lets the guest's own check look at frames, whatever kernels of its architecture do. */
export function checkOwnFrames(guest: Guest): void {
  guest.memory.writeUnsigned(guest.symbol('usercopy_check_frames'), 4, 1n);
}

export interface OwnCases {
  readonly cases: readonly TwinCase[];
  /** What no structure of the guest says: which pages are CMA. */
  readonly declarations: readonly Declaration[];
}

/** Allocates the objects and lists the copies. */
export async function ownCases(guest: Guest): Promise<OwnCases> {
  const PAGE = 1n << BigInt(guest.layout.pageShift);
  const cases: TwinCase[] = [];
  const add = (name: string, pointer: bigint, size: bigint, direction: Direction): void => {
    const toUser = direction === 'to_user' ? 1n : 0n;
    cases.push({
      name,
      copy: { pointer, size, direction },
      call: { symbol: 'do_copy', arguments: [guest.user.address, pointer, size, toUser] },
    });
  };
  /** Copies of objects in frames that only the guest knows. */
  const addFrame = (name: string, symbol: string, size: bigint, direction: Direction): void => {
    const toUser = direction === 'to_user' ? 1n : 0n;
    cases.push({
      name,
      copy: { pointer: 0n, size, direction },
      call: { symbol, arguments: [guest.user.address, size, toUser] },
    });
  };
  const text = (value: string): bigint => {
    const address = guest.memory.allocate(PAGE);
    guest.memory.write(address, bytesOf(`${value}\0`));
    return address;
  };
  const call = (symbol: string, ...args: bigint[]): Promise<bigint> => guest.callForValue(symbol, args);

  const object = await call('kmalloc', 64n);
  add('slab: whole object', object, 64n, 'to_user');
  add('slab: inside the object', object + 8n, 16n, 'from_user');
  add('slab: one byte too many', object, 65n, 'to_user');
  add('slab: across the end', object + 60n, 8n, 'from_user');

  const whitelisted = await call('kmem_cache_create_usercopy', text('own_whitelist'), 256n, 8n, 0n, 64n, 32n);
  const windowed = await call('kmem_cache_alloc', whitelisted);
  add('whitelist: the window', windowed + 64n, 32n, 'to_user');
  add('whitelist: before the window', windowed + 63n, 8n, 'to_user');
  add('whitelist: past the window', windowed + 90n, 8n, 'from_user');
  const closed = await call('kmem_cache_create', text('own_closed'), 128n, 8n, 0n);
  const unlisted = await call('kmem_cache_alloc', closed);
  add('whitelist: none at all', unlisted, 16n, 'from_user');

  const zoned = await call('kmem_cache_create_usercopy', text('own_red_zone'), 96n, 8n, SLAB_RED_ZONE, 0n, 96n);
  const guarded = await call('kmem_cache_alloc', zoned);
  add('red zone: whole object', guarded, 96n, 'to_user');
  add('red zone: left of the object', guarded - 4n, 4n, 'to_user');

  addFrame('frame: a local', 'copy_stack_frame_good', 32n, 'to_user');
  addFrame("frame: the caller's local", 'copy_stack_frame_caller', 32n, 'from_user');
  addFrame('frame: a dead local', 'copy_stack_frame_bad', 32n, 'to_user');
  addFrame('frame: across frames', 'copy_stack_frame_record', 32n, 'to_user');
  addFrame('stack: past its end', 'copy_stack_beyond', 32n, 'to_user');
  add('stack: before its start', guest.stack.start - 8n, 16n, 'from_user');
  add('stack: unused part', guest.stack.start + 64n, 16n, 'to_user');

  add('text: its start', guest.symbol('_stext'), 32n, 'to_user');
  add('text: its end', guest.symbol('_etext') - 8n, 16n, 'from_user');
  add('text: only touches it', guest.symbol('_stext') - 16n, 16n, 'to_user');
  const linear = BigInt.asUintN(
    guest.kernel.bits,
    guest.symbol('_stext') - guest.layout.imageOffset + guest.layout.pageOffset,
  );
  add('text: linear alias', linear + 16n, 32n, 'to_user');
  add('rodata: read', guest.symbol('__start_rodata'), 64n, 'to_user');
  add('rodata: write', guest.symbol('__start_rodata'), 64n, 'from_user');
  add('data: write', guest.symbol('_edata') - 64n, 64n, 'from_user');

  add('null', 0n, 8n, 'to_user');
  add('ZERO_SIZE_PTR', 16n, 8n, 'from_user');
  const top = guest.kernel.bits === 64 ? 0xffffffffffffffffn : 0xffffffffn;
  add('wrapped', top - 7n, 32n, 'to_user');
  add('empty', 0n, 0n, 'to_user');

  const compound = await call('alloc_pages', 2n);
  add('compound page: whole', compound, 4n * PAGE, 'to_user');
  add('compound page: past its end', compound + 4n * PAGE - 16n, 32n, 'to_user');
  const plain = await call('alloc_page_plain', 4n);
  add('pages: inside one', plain + 16n, 64n, 'from_user');
  add('page span: two plain pages', plain + PAGE - 16n, 32n, 'from_user');
  const reserved = await call('alloc_page_plain', 2n);
  await call('SetPageReserved', reserved, 2n);
  add('page span: two Reserved pages', reserved + PAGE - 16n, 32n, 'to_user');
  const cma = await call('alloc_page_plain', 2n);
  await call('mark_pages_cma', cma, 2n);
  add('page span: two CMA pages', cma + PAGE - 16n, 32n, 'to_user');
  const half = await call('alloc_page_plain', 2n);
  await call('mark_pages_cma', half, 1n);
  add('page span: CMA and not', half + PAGE - 16n, 32n, 'to_user');

  const area = await call('vmalloc', 2n * PAGE);
  add('vmalloc: whole', area, 2n * PAGE, 'to_user');
  add('vmalloc: into the guard page', area + 2n * PAGE - 16n, 32n, 'to_user');
  add('vmalloc: past the guard page', area + 3n * PAGE - 16n, 32n, 'from_user');

  if (guest.kernel.symbols.address('kmap_slot') !== undefined) {
    const slot = await call('kmap_slot', 1n);
    add('kmap: to the end of the page', slot + 16n, PAGE - 16n, 'to_user');
    add('kmap: past the page', slot + 16n, PAGE - 15n, 'to_user');
  }

  return {
    cases,
    declarations: [
      { kind: 'pages', type: 'CMA', start: cma, end: cma + 2n * PAGE },
      { kind: 'pages', type: 'CMA', start: half, end: half + PAGE },
    ],
  };
}
