/** Makes a scenario's memory objects and knows what names stand for. */

import type { Declaration } from '../check/parameters.js';
import { UsercopyError } from '../errors.js';
import type { Guest } from '../guest/guest.js';
import { KernelObjects } from '../guest/objects.js';
import { buildRandomWorld } from './differential.js';
import { evaluate, type Names, parseCall, parseExpression, wordOf } from './expression.js';
import type { DeclaredObject, ScenarioObject, SlabObject } from './format.js';
import { buildOwnWorld } from './own-world.js';
import type { Path, Positions } from './positions.js';
import { SeededRandom } from './random.js';

const PAGE = 4096n;
const MOST_ORDER = 10;
const roundUp = (value: bigint, to: bigint): bigint => ((value + to - 1n) / to) * to;

interface Named {
  readonly start: bigint;
  readonly end: bigint | null;
}

export class ObjectMaker {
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

  /** Everything that was made, in that order; the end is null where it is not known. */
  get made(): readonly { readonly name: string; readonly start: bigint; readonly end: bigint | null }[] {
    return [...this.#named].map(([name, place]) => ({ name, ...place }));
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
    const bytes = new TextEncoder().encode(`${value}\0`);
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
      // Our guests keep the type of a page where the check does not look; of others it reads the page block, where it knows its size.
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
    const content = Uint8Array.from(hex.replace(/\s/g, '').match(/../g) ?? [], (digits) => Number.parseInt(digits, 16));
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
    const refuseWithout = (field: 'cache' | 'objectSize' | 'type'): never => {
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
        cache: cache ?? refuseWithout('cache'),
        objectSize: BigInt(objectSize ?? refuseWithout('objectSize')),
        objectStride: BigInt(objectStride ?? 0),
        redLeftPad: BigInt(redLeftPad),
        useroffset: useroffset === undefined ? undefined : BigInt(useroffset),
        usersize: usersize === undefined ? undefined : BigInt(usersize),
      });
      return { start: range.start + BigInt(redLeftPad), end: range.start + BigInt(redLeftPad + (objectSize ?? 0)) };
    }
    if (kind === 'pages') this.declarations.push({ kind, type: type ?? refuseWithout('type'), ...range });
    else this.declarations.push({ kind, ...range });
    return range;
  }
}
