/** What a scenario's steps stand on: its guest, started, with the memory objects made and named. */

import { resolve } from 'node:path';
import { drivers } from '../../arch/index.js';
import { UsercopyError } from '../errors.js';
import { Guest } from '../guest/guest.js';
import { KernelObjects } from '../guest/objects.js';
import { measureStackDepth, type StackDepth } from '../guest/stack-depth.js';
import { fetchKernel } from '../kernel/fetch.js';
import type { Kernel } from '../kernel/kernel.js';
import { loadKernel } from '../kernel/load.js';
import type { Declaration } from '../parameters.js';
import { parseProfile } from '../profiles.js';
import { buildRandomWorld } from './differential.js';
import { evaluate, type Names, parseCall, parseExpression, wordOf } from './expression.js';
import type { DeclaredObject, ScenarioGuest, ScenarioObject, SlabObject } from './format.js';
import { chooseOwnProfile, loadOwnKernel, OWN_PROFILES, ownVariants, startOwnGuest } from './own.js';
import { buildOwnWorld } from './own-world.js';
import type { Path, Positions } from './positions.js';
import { SeededRandom } from './random.js';
import type { ScenarioFile } from './read.js';

const PAGE = 4096n;
const MOST_ORDER = 10;

interface Named {
  readonly start: bigint;
  readonly end: bigint | null;
}

export interface World {
  readonly guest: Guest;
  /** What to attach to: the guest's kernel. */
  readonly kernel: Kernel;
  readonly names: Names;
  readonly declarations: readonly Declaration[];
  /** Rules to judge by; undefined: by version and configuration. */
  readonly profile: string | undefined;
  /** Whether the guest's own check knows these rules and these objects, so that it is a judge of ours. */
  readonly ownCheckKnows: boolean;
  /** What the guest's own check uses of the stack; null: unknown, undefined: not measured yet. */
  readonly stackDepth: StackDepth | null | undefined;
}

/** Runs a part and says in its errors where in the file the part stands. */
export async function located<Result>(
  positions: Positions,
  path: Path,
  part: () => Result | Promise<Result>,
): Promise<Result> {
  try {
    return await part();
  } catch (error) {
    if (!(error instanceof UsercopyError) || error.message.startsWith(`${positions.file}:`)) throw error;
    throw new UsercopyError(error.kind, `${positions.at(path)}: ${error.message}`, { cause: error });
  }
}

/** @throws UsercopyError with the place in the file; the guest is closed then. */
export async function buildWorld(file: ScenarioFile): Promise<World> {
  const { scenario, positions } = file;
  const started = await located(positions, ['guest'], () => startGuest(scenario.guest, file));
  const { guest } = started;
  try {
    const maker = new ObjectMaker(guest, started.isOwn, positions);
    for (const [name, object] of Object.entries(scenario.objects ?? {})) {
      await located(positions, ['objects', name], () => maker.make(name, object));
    }
    const declares = Object.values(scenario.objects ?? {}).some((object) => 'declared' in object);
    return {
      guest,
      kernel: started.isSilenced ? withoutSymbol(guest.kernel, OWN_BYPASS) : guest.kernel,
      names: maker.names,
      declarations: maker.declarations,
      profile: started.profile,
      ownCheckKnows: started.ownCheckKnows && !declares,
      stackDepth: started.stackDepth,
    };
  } catch (error) {
    guest.close();
    throw error;
  }
}

interface Started {
  readonly guest: Guest;
  readonly isOwn: boolean;
  readonly profile: string | undefined;
  readonly ownCheckKnows: boolean;
  readonly stackDepth?: StackDepth | null;
  /** The guest's own check has other rules and is switched off, which is no business of ours. */
  readonly isSilenced: boolean;
}

async function startGuest(spec: ScenarioGuest, file: ScenarioFile): Promise<Started> {
  const { positions } = file;
  const given = (name: keyof ScenarioGuest): boolean => spec[name] !== undefined;
  const clash = (name: keyof ScenarioGuest, without: string): void => {
    if (given(name)) throw positions.refuseName(['guest', name], `no ${name} ${without}`, 'one');
  };
  if (given('kernel')) for (const name of ['variant', 'release', 'build'] as const) clash(name, "beside 'kernel'");
  else {
    if (!given('variant')) throw positions.refuse(['guest'], "'variant' or 'kernel' in guest", 'neither');
    for (const name of ['btf', 'config'] as const) clash(name, "without 'kernel'");
    if (given('release')) clash('build', "beside 'release'");
  }
  const { profile = 'auto' } = spec;
  if (profile !== 'auto') await located(positions, ['guest', 'profile'], () => parseProfile(profile));
  return given('kernel') || given('release') ? startRealGuest(spec, file) : startBuiltIn(spec, positions);
}

async function startRealGuest(spec: ScenarioGuest, { directory, positions }: ScenarioFile): Promise<Started> {
  const { kernel: image, variant, release, btf, config, ram } = spec;
  const path = (name: string): string => resolve(directory, name);
  const image_ = image === undefined ? (await fetchKernel(variant!, { release: release! })).path : path(image);
  const kernel = await loadKernel(
    { path: image_ },
    {
      drivers,
      ...(btf === undefined ? {} : { btf: path(btf) }),
      ...(config === undefined ? {} : { config: path(config) }),
    },
  );
  const bytes = ram === undefined ? {} : { ramBytes: ramOf(ram, positions) };
  return {
    guest: await Guest.create(kernel, bytes),
    isOwn: false,
    profile: spec.profile,
    isSilenced: false,
    ownCheckKnows: spec.frames === undefined && kernel.symbols.address('__check_object_size') !== undefined,
  };
}

const LEAST_RAM = 1n << 20n;
/** It is kept twice: as it is, and as every step finds it. */
const MOST_RAM = 1n << 30n;

function ramOf(ram: NonNullable<ScenarioGuest['ram']>, positions: Positions): bigint {
  const path: Path = ['guest', 'ram'];
  const bytes = wordOf(ram, positions.at(path));
  if (bytes < LEAST_RAM || bytes > MOST_RAM || bytes % LEAST_RAM !== 0n) {
    throw positions.refuse(path, `whole MiB of at most ${MOST_RAM >> 20n} MiB`, `${bytes} bytes`);
  }
  return bytes;
}

async function startBuiltIn(spec: ScenarioGuest, positions: Positions): Promise<Started> {
  const { variant = '', build = 'check' } = spec;
  if (!ownVariants().includes(variant)) {
    throw positions.refuse(
      ['guest', 'variant'],
      `a built-in guest: one of ${ownVariants().join(', ')}`,
      `'${variant}'`,
    );
  }
  const ram = spec.ram === undefined ? {} : { ramBytes: ramOf(spec.ram, positions) };
  const guest = await startOwnGuest(await loadOwnKernel(variant, build), ram);
  const wanted = spec.profile === undefined || spec.profile === 'auto' ? '6.1' : spec.profile;
  const [name = '', ...switches] = wanted.split(',').map((part) => part.trim());
  const ownCheckKnows = build === 'check' && name in OWN_PROFILES && switches.every((word) => word in OWN_SWITCHES);
  // Asked before the check is silenced.
  const stackDepth = await measureStackDepth(guest);
  if (build === 'check') {
    if (ownCheckKnows) {
      chooseOwnProfile(guest, name);
      for (const word of switches) setOwnFlag(guest, ...OWN_SWITCHES[word]!);
    } else setOwnFlag(guest, OWN_BYPASS, true);
    if (spec.frames !== undefined) setOwnFlag(guest, OWN_FRAMES, spec.frames);
  }
  return {
    guest,
    isOwn: true,
    profile: wanted,
    ownCheckKnows,
    isSilenced: build === 'check' && !ownCheckKnows,
    stackDepth,
  };
}

/** Variables of the built-in guests: `hardened_usercopy=off`, and whether frames are walked. */
const OWN_BYPASS = 'bypass_usercopy_checks';
const OWN_FRAMES = 'usercopy_check_frames';

/** Switches of profiles that their own check has too. */
const OWN_SWITCHES: Readonly<Record<string, [symbol: string, on: boolean]>> = {
  bypass: [OWN_BYPASS, true],
  'no-bypass': [OWN_BYPASS, false],
  frames: [OWN_FRAMES, true],
  'no-frames': [OWN_FRAMES, false],
};

function withoutSymbol(kernel: Kernel, hidden: string): Kernel {
  const { symbols } = kernel;
  return {
    ...kernel,
    symbols: {
      count: symbols.count,
      source: symbols.source,
      address: (name) => (name === hidden ? undefined : symbols.address(name)),
      get: (name) => (name === hidden ? undefined : symbols.get(name)),
      all: (name) => (name === hidden ? [] : symbols.all(name)),
      find: (address) => symbols.find(address),
      [Symbol.iterator]: () => symbols[Symbol.iterator](),
    },
  };
}

function setOwnFlag(guest: Guest, symbol: string, on: boolean): void {
  guest.memory.writeUnsigned(guest.symbol(symbol), 4, on ? 1n : 0n);
}

class ObjectMaker {
  readonly names: Names;
  readonly declarations: Declaration[] = [];
  readonly #guest: Guest;
  readonly #isOwn: boolean;
  readonly #positions: Positions;
  readonly #objects: KernelObjects | null;
  readonly #named = new Map<string, Named>();
  readonly #texts = new Map<string, bigint>();

  constructor(guest: Guest, isOwn: boolean, positions: Positions) {
    this.#guest = guest;
    this.#isOwn = isOwn;
    this.#positions = positions;
    this.#objects = guest.kernel.types === null ? null : new KernelObjects(guest, { booted: isOwn });
    this.names = {
      find: (name) => this.#named.get(name) ?? this.#builtIn(name),
      text: (value) => this.#text(value),
      linearAlias: (address) => this.#linearAlias(address),
    };
  }

  async make(name: string, object: ScenarioObject): Promise<void> {
    this.#named.set(name, await this.#made(name, object));
  }

  #builtIn(name: string): Named | undefined {
    const guest = this.#guest;
    switch (name) {
      case 'stack':
        return guest.stack;
      case 'sp':
        return { start: guest.stackPointerAtEntry, end: null };
      case 'user':
        return { start: guest.user.address, end: guest.user.address + guest.user.size };
      default: {
        const address = guest.kernel.symbols.address(name);
        return address === undefined ? undefined : { start: address, end: null };
      }
    }
  }

  #text(value: string): bigint {
    const known = this.#texts.get(value);
    if (known !== undefined) return known;
    const bytes = Buffer.from(`${value}\0`, 'utf8');
    const address = this.#guest.memory.allocate(roundUp(BigInt(bytes.length), PAGE));
    this.#guest.memory.write(address, bytes);
    this.#texts.set(value, address);
    return address;
  }

  #linearAlias(address: bigint): bigint {
    const { layout, memory, kernel } = this.#guest;
    const physical = address - layout.imageOffset - memory.ram.physicalBase;
    return BigInt.asUintN(kernel.bits, physical + memory.linearAddress);
  }

  get #kernelObjects(): KernelObjects {
    if (this.#objects) return this.#objects;
    throw new UsercopyError('bad-input', "expected a kernel with types (BTF), found none; give them as guest's 'btf'");
  }

  async #made(name: string, object: ScenarioObject): Promise<Named> {
    const inside = (kind: string, field: string): Path => ['objects', name, kind, field];
    if ('slab' in object) return this.#slab(object.slab, (field) => inside('slab', field));
    if ('compoundPage' in object) return this.#kernelObjects.makeCompoundPage(object.compoundPage.order);
    if ('pages' in object) return this.#pages(object.pages, (field) => inside('pages', field));
    if ('vmalloc' in object) return this.#kernelObjects.makeVmallocArea(object.vmalloc.pages);
    if ('kmap' in object) return this.#kmap(object.kmap.slot, inside('kmap', 'slot'));
    if ('bytes' in object) return this.#bytes(object.bytes, inside('bytes', 'hex'));
    if ('result' in object) return this.#result(object.result, (field) => inside('result', field));
    if ('declared' in object) return this.#declared(object.declared, (field) => inside('declared', field));
    await this.#random(new SeededRandom(object.random.seed));
    return { start: 0n, end: null };
  }

  async #random(random: SeededRandom): Promise<void> {
    if (this.#isOwn) this.declarations.push(...(await buildOwnWorld(this.#guest, random)).declarations);
    else buildRandomWorld(this.#guest, this.#kernelObjects, random);
  }

  #slab(spec: SlabObject, path: (field: string) => Path): Named {
    const word = BigInt(this.#guest.kernel.bits / 8);
    const { cache, objectSize, redLeftPad = 0, useroffset = 0, index = 0 } = spec;
    const { usersize = objectSize - useroffset } = spec;
    const zones = BigInt(redLeftPad) + (redLeftPad > 0 ? word : 0n);
    const size = spec.size ?? Number(roundUp(BigInt(objectSize) + zones, word));
    if (useroffset + usersize > objectSize || usersize < 0) {
      const field = spec.usersize === undefined ? 'useroffset' : 'usersize';
      throw this.#positions.refuse(
        path(field),
        `a whitelist inside the object of ${objectSize} bytes`,
        `${useroffset} + ${usersize}`,
      );
    }
    if (redLeftPad + objectSize > size) {
      throw this.#positions.refuse(path('size'), `at least ${redLeftPad + objectSize} bytes`, `${size}`);
    }
    const page = 2 ** this.#guest.layout.pageShift;
    const needed = (index + 1) * size;
    let smallest = 0;
    while (smallest < MOST_ORDER && page * 2 ** smallest < needed) smallest++;
    const order = spec.order ?? smallest;
    if (page * 2 ** order < needed) {
      throw this.#positions.refuse(
        path(spec.order === undefined ? 'index' : 'order'),
        `a slab of at least ${needed} bytes`,
        `${page * 2 ** order}`,
      );
    }
    if (redLeftPad > 0) this.#kernelObjects.enableSlubDebug();
    const slab = this.#kernelObjects.makeSlab({
      name: cache,
      objectSize,
      size,
      useroffset,
      usersize,
      order,
      ...(redLeftPad > 0 ? { redLeftPad } : {}),
    });
    const start = slab.object(index);
    return { start, end: start + BigInt(objectSize) };
  }

  async #pages(
    { count, reserved = 0, cma = 0 }: { count: number; reserved?: number; cma?: number },
    path: (field: string) => Path,
  ): Promise<Named> {
    for (const [field, value] of Object.entries({ reserved, cma })) {
      if (value > count) throw this.#positions.refuse(path(field), `at most ${count} pages`, `${value}`);
    }
    const { start, end } = this.#kernelObjects.makePages(count);
    if (reserved > 0) this.#kernelObjects.setReserved(start, reserved);
    if (cma > 0) {
      // Our guests keep the type of a page where we do not look; others keep it where nobody here does.
      if (this.#isOwn) await this.#guest.callForValue('mark_pages_cma', [start, BigInt(cma)]);
      const page = 1n << BigInt(this.#guest.layout.pageShift);
      this.declarations.push({ kind: 'pages', type: 'CMA', start, end: start + page * BigInt(cma) });
    }
    return { start, end };
  }

  #kmap(slot: number, path: Path): Named {
    const page = 1n << BigInt(this.#guest.layout.pageShift);
    const [slots] = this.#guest.layout.kmap;
    if (!slots) {
      throw new UsercopyError(
        'unsupported',
        `${this.#guest.variant.name}: this kernel has no highmem, so no kmap slots`,
      );
    }
    const start = slots.start + page * BigInt(slot);
    if (start + page > slots.end) {
      throw this.#positions.refuse(path, `a slot below ${(slots.end - slots.start) / page}`, `${slot}`);
    }
    return { start, end: start + page };
  }

  #bytes({ size, hex = '' }: { size: number; hex?: string }, path: Path): Named {
    const content = Buffer.from(hex.replace(/\s/g, ''), 'hex');
    if (content.length > size) throw this.#positions.refuse(path, `at most ${size} bytes`, `${content.length}`);
    const start = this.#guest.memory.allocate(roundUp(BigInt(size), PAGE));
    this.#guest.memory.write(start, content);
    return { start, end: start + BigInt(size) };
  }

  async #result(
    { call: text, size }: { call: string; size?: number | bigint | string },
    path: (field: string) => Path,
  ): Promise<Named> {
    const where = this.#positions.at(path('call'));
    const call = parseCall(text, where);
    const args = call.arguments.map((term) => evaluate(term, this.names, this.#guest.kernel.bits, where));
    const value = await this.#guest.callForValue(call.symbol, args);
    if (size === undefined) return { start: value, end: null };
    return { start: value, end: value + wordOf(size, this.#positions.at(path('size'))) };
  }

  #declared(spec: DeclaredObject, path: (field: string) => Path): Named {
    const word = (field: 'start' | 'end'): bigint => {
      const where = this.#positions.at(path(field));
      return evaluate(parseExpression(spec[field], where), this.names, 64, where);
    };
    const range = { start: word('start'), end: word('end') };
    if (range.end <= range.start) throw this.#positions.refuse(path('end'), "more than 'start'", `${spec.end}`);
    const require = (field: 'cache' | 'objectSize' | 'type'): never => {
      throw this.#positions.refuse(path('kind'), `'${field}' beside the kind '${spec.kind}'`, 'none');
    };
    const { kind, cache, objectSize, objectStride = objectSize, type } = spec;
    const allowed: readonly string[] =
      kind === 'slab'
        ? ['cache', 'objectSize', 'objectStride', 'redLeftPad', 'useroffset', 'usersize']
        : kind === 'pages'
          ? ['type']
          : [];
    const stray = Object.keys(spec).find((field) => !['kind', 'start', 'end', ...allowed].includes(field));
    if (stray !== undefined) {
      throw this.#positions.refuseName(path(stray), `none of it beside the kind '${kind}'`, `'${stray}'`);
    }
    if (kind === 'slab') {
      const { redLeftPad = 0, useroffset, usersize } = spec;
      this.declarations.push({
        kind,
        ...range,
        cache: cache ?? require('cache'),
        objectSize: BigInt(objectSize ?? require('objectSize')),
        objectStride: BigInt(objectStride ?? 0),
        redLeftPad: BigInt(redLeftPad),
        ...(useroffset === undefined ? {} : { useroffset: BigInt(useroffset) }),
        ...(usersize === undefined ? {} : { usersize: BigInt(usersize) }),
      });
      return { start: range.start + BigInt(redLeftPad), end: range.start + BigInt(redLeftPad + (objectSize ?? 0)) };
    }
    if (kind === 'pages') this.declarations.push({ kind, type: type ?? require('type'), ...range });
    else this.declarations.push({ kind, ...range });
    return range;
  }
}

const roundUp = (value: bigint, to: bigint): bigint => ((value + to - 1n) / to) * to;
