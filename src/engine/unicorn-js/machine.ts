/** One emulator of the module: libunicorn's calls, with typed errors instead of codes. Knows no hooks' meaning and no runs. */
import { badInput, hex, UsercopyError } from '../../errors.js';
import type { CopyHookSpec, EngineBlock, EngineSpec } from '../engine.js';
import { Heap } from './heap.js';
import type { Pointer, UnicornJsModule } from './module.js';
import { type Constants, RegisterIds } from './names.js';

const PAGE = 4096n;
export const ADDRESS_END = 1n << 64n;
/** Room for the widest register (512 bits), twice. */
const REGISTER_BYTES = 128;
export const MOST_COPY_REGISTERS = 16;
/** Bytes that are zeroed at a time. */
const ZEROES = 1n << 20n;
/** UC_CTL(): where the number of values and the direction stand in a control word. */
const CTL_COUNT_SHIFT = 26;
const CTL_WRITE = 1 << 30;
/** `struct uc_mem_region`: u64 begin, u64 end (inclusive), u32 permissions, padding. */
const REGION_BYTES = 24;
/** `struct uc_context` on wasm32 (2.1): seven words before the data; the first is the data's size. */
const CONTEXT_HEADER = 28;
/** An address that no code has. */
const NOWHERE = -1n;
/** CPSR.T of 32-bit ARM. */
const THUMB = 1n << 5n;

/** A UC_HOOK_* of the module, and the function-table slot of its callback. */
export interface InstalledHook {
  readonly handle: number;
  readonly callback: Pointer;
}

export class UnicornMachine {
  readonly version: string;
  /** Name of the program counter's register. */
  readonly pcName: string;
  readonly constants: Constants;
  readonly #module: UnicornJsModule;
  readonly #heap: Heap;
  readonly #spec: EngineSpec;
  readonly #ids: RegisterIds;
  readonly #pc: number;
  readonly #scratch: Pointer;
  #engine: Pointer = 0;
  /** Memory that `allocateBlock` took. */
  readonly #blocks: Pointer[] = [];
  /** Some translated code is not found by its physical address. */
  #orphans = false;

  /** @throws UsercopyError `bad-input` for unknown names, `engine` where libunicorn refuses. */
  constructor(module: UnicornJsModule, constants: Constants, spec: EngineSpec) {
    this.#module = module;
    this.#heap = new Heap(module);
    this.#spec = spec;
    this.constants = constants;
    this.version = this.#readVersion();
    const arch = constants.require('architecture', 'ARCH_', spec.arch);
    const mode = spec.mode.reduce((all, name) => all | constants.require('mode', 'MODE_', name, 'any of'), 0);
    const described = [spec.arch, ...spec.mode].join(' ');
    if (module._uc_arch_supported(arch) === 0) {
      throw new UsercopyError('unsupported', `this build of unicorn.js has no ${spec.arch}: take one that has`);
    }
    const cpu = this.#cpuModel();
    this.#ids = new RegisterIds(constants, spec.arch);
    this.pcName =
      spec.arch !== 'X86' ? 'pc' : spec.mode.includes('64') ? 'rip' : spec.mode.includes('32') ? 'eip' : 'ip';
    this.#pc = this.#ids.find(this.pcName);
    this.#scratch = this.#heap.allocate(REGISTER_BYTES);
    this.#engine = this.#open(`uc_open(${described})`, arch, mode);
    try {
      if (cpu !== null) this.#control(`uc_ctl_set_cpu_model(${described}, ${spec.cpu})`, 'CTL_CPU_MODEL', cpu);
      // A CPU model that cannot be set up shows at the first call that needs it.
      this.require(`uc_reg_read(${this.pcName})`, module._uc_reg_read(this.#engine, this.#pc, this.#scratch));
      this.#requireBigints();
      // Addresses are those that were mapped: they are cut to the CPU's physical width otherwise.
      if (spec.mmu !== true) this.#control('uc_ctl_tlb_mode', 'CTL_TLB_TYPE', constants.get('TLB_VIRTUAL'));
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** Whether the build takes 64-bit integers as bigints shows at the first call that has one. */
  #requireBigints(): void {
    try {
      this.#module._uc_mem_read(this.#engine, 0n, this.#scratch, 0n);
    } catch (error) {
      if (!(error instanceof TypeError)) throw error;
      throw new UsercopyError(
        'unsupported',
        'this build of unicorn.js takes 64-bit integers as two numbers: expected one that was linked with WASM_BIGINT, as the package is',
        { cause: error },
      );
    }
  }

  #open(call: string, arch: number, mode: number): Pointer {
    const place = this.#heap.allocate(4);
    const code = this.#module._uc_open(arch, mode, place);
    const engine = this.#heap.u32(place);
    this.#module._free(place);
    this.require(call, code);
    return engine;
  }

  #readVersion(): string {
    const place = this.#heap.allocate(8);
    this.#module._uc_version(place, place + 4);
    const version = `${this.#heap.u32(place)}.${this.#heap.u32(place + 4)}`;
    this.#module._free(place);
    return `${version}.${this.constants.get('VERSION_PATCH')}`;
  }

  #cpuModel(): number | null {
    const { arch, cpu } = this.#spec;
    if (cpu === undefined) return null;
    if (cpu.startsWith(`${arch}_`)) return this.constants.require(`CPU model of ${arch}`, 'CPU_', cpu);
    const names = this.constants.names('CPU_').filter((name) => name.startsWith(`${arch}_`));
    throw badInput(`CPU model of ${arch}`, `one of ${names.join(', ') || 'none'}`, cpu);
  }

  /** @throws UsercopyError `engine` unless the code is success. */
  require(call: string, code: number): void {
    if (code !== 0) throw new UsercopyError('engine', `${call}: ${this.errorText(code)}`);
  }

  errorText(code: number): string {
    return this.#heap.text(this.#module._uc_strerror(code));
  }

  get isOpen(): boolean {
    return this.#engine !== 0;
  }

  /** @throws UsercopyError `engine` when it is closed. */
  requireOpen(): Pointer {
    if (this.#engine === 0) throw new UsercopyError('engine', 'the emulator is closed: open another one');
    return this.#engine;
  }

  close(): void {
    if (this.#engine === 0) return;
    const engine = this.#engine;
    this.#engine = 0;
    try {
      this.#module._uc_close(engine);
      this.#module._free(this.#scratch);
      for (const block of this.#blocks.splice(0)) this.#module._free(block);
    } catch {
      // A module that has failed before cannot close its emulators either.
    }
  }

  /**
   * Runs from an address until something stops it; gives its `uc_err`. Where a run ends is a hook of the engine's. On x86
   * `until` ends the translation there besides: 2.1.4 fails when it translates hundreds of instructions as one block, as
   * in the zeroes behind a piece of code. 64-bit SPARC does not come back from an `until`.
   */
  start(pc: bigint, until: bigint): number {
    const from = BigInt.asIntN(64, this.#startAddress(pc));
    const to = this.#spec.arch === 'X86' ? BigInt.asIntN(64, until) : NOWHERE;
    return this.#module._uc_emu_start(this.#engine, from, to, 0n, 0);
  }

  stop(): void {
    this.#module._uc_emu_stop(this.#engine);
  }

  #control(call: string, name: string, ...values: (number | bigint)[]): void {
    const list = this.#heap.allocate(16);
    values.forEach((value, index) => {
      if (typeof value === 'bigint') this.#heap.setU64(list + 8 * index, value);
      else this.#heap.setU32(list + 4 * index, value);
    });
    const word = this.constants.get(name) | (values.length << CTL_COUNT_SHIFT) | CTL_WRITE;
    const code = this.#module._uc_ctl(this.#engine, word, list);
    this.#module._free(list);
    this.require(call, code);
  }

  install(
    type: number,
    signature: string,
    callback: (...args: never[]) => unknown,
    begin = 1n,
    end = 0n,
  ): InstalledHook {
    const slot = this.#module.addFunction(callback, signature);
    const place = this.#heap.allocate(16);
    const [from, to] = [BigInt.asIntN(64, begin), BigInt.asIntN(64, end)];
    const code = this.#module._uc_hook_add(this.#engine, place, type, slot, 0, from, to, place + 8);
    const handle = this.#heap.u32(place);
    this.#module._free(place);
    if (code !== 0) this.#module.removeFunction(slot);
    this.require('uc_hook_add', code);
    return { handle, callback: slot };
  }

  /** Never during an emulation: translated code may still call it. */
  uninstall({ handle, callback }: InstalledHook): void {
    this.#module._uc_hook_del(this.#engine, handle);
    this.#module.removeFunction(callback);
  }

  /** @throws UsercopyError `bad-input` for a name that is none. */
  registerId(name: string): number {
    return this.#ids.find(name);
  }

  readRegister(id: number): bigint {
    this.#heap.setU64(this.#scratch, 0n);
    this.#module._uc_reg_read(this.#engine, id, this.#scratch);
    return this.#heap.u64(this.#scratch);
  }

  writeRegister(id: number, value: bigint): number {
    this.#heap.write(this.#scratch, new Uint8Array(REGISTER_BYTES));
    this.#heap.setU64(this.#scratch, value);
    return this.#module._uc_reg_write(this.#engine, id, this.#scratch);
  }

  isPc(id: number): boolean {
    if (id === this.#pc) return true;
    return this.#spec.arch === 'X86' && ['rip', 'eip', 'ip'].some((name) => this.#ids.find(name) === id);
  }

  get pc(): bigint {
    return this.readRegister(this.#pc);
  }

  set pc(address: bigint) {
    this.writeRegister(this.#pc, this.#startAddress(address));
  }

  /** With the Thumb bit where the CPU is in that state. */
  #startAddress(address: bigint): bigint {
    if (this.#spec.arch !== 'ARM') return address;
    return (this.readRegister(this.#ids.find('cpsr')) & THUMB) !== 0n ? address | 1n : address;
  }

  map(address: bigint, size: bigint, permissions: string): void {
    const bits = permissionBits(permissions);
    requirePages('map', address, size);
    const engine = this.requireOpen();
    const code = this.#module._uc_mem_map(engine, BigInt.asIntN(64, address), BigInt.asIntN(64, size), bits);
    this.require(`uc_mem_map${span(address, size)}`, code);
    this.#zero(address, size);
  }

  /**
   * Zeroed memory of the heap. `told` calls `show`, and says where it overlaps when that fails.
   * @throws UsercopyError `unsupported` for a build that shows no memory of the heap.
   */
  allocateBlock(bytes: number, told: (address: bigint, size: bigint, show: () => void) => void): EngineBlock {
    this.requireOpen();
    const mapPointer = this.#module._uc_mem_map_ptr;
    if (typeof mapPointer !== 'function') {
      throw new UsercopyError(
        'unsupported',
        'this build of unicorn.js shows no memory at two addresses: expected one that exports _uc_mem_map_ptr, as the package does',
      );
    }
    if (!Number.isSafeInteger(bytes) || bytes <= 0 || bytes % Number(PAGE) !== 0) {
      throw badInput('allocateBlock', `a multiple of ${PAGE} bytes`, String(bytes));
    }
    const place = this.#heap.allocate(bytes + Number(PAGE));
    this.#blocks.push(place);
    const start = place + Number(PAGE) - (place % Number(PAGE));
    const zeroes = new Uint8Array(Math.min(bytes, Number(ZEROES)));
    for (let at = 0; at < bytes; at += zeroes.length) {
      this.#heap.write(start + at, zeroes.subarray(0, bytes - at));
    }
    const inside = (offset: number, length: number): number => {
      this.requireOpen();
      if (offset >= 0 && length >= 0 && offset + length <= bytes) return start + offset;
      throw badInput('block of memory', `a range within its ${bytes} bytes`, `${offset} + ${length}`);
    };
    return {
      bytes,
      read: (offset, length) => this.#heap.read(inside(offset, length), length),
      write: (offset, content) => this.#heap.write(inside(offset, content.length), content),
      map: (address, size, permissions, offset) => {
        const bits = permissionBits(permissions);
        requirePages('map', address, size);
        const pointer = inside(offset, Number(size));
        told(address, size, () => {
          const [from, length] = [BigInt.asIntN(64, address), BigInt.asIntN(64, size)];
          const code = mapPointer(this.requireOpen(), from, length, bits, pointer);
          this.require(`uc_mem_map_ptr${span(address, size)}`, code);
        });
      },
    };
  }

  /** The module's heap hands out memory as its last user left it. */
  #zero(address: bigint, size: bigint): void {
    const piece = size < ZEROES ? size : ZEROES;
    const place = this.#heap.allocate(Number(piece));
    try {
      this.#heap.write(place, new Uint8Array(Number(piece)));
      for (let at = 0n; at < size; at += piece) {
        const length = size - at < piece ? size - at : piece;
        const from = BigInt.asIntN(64, address + at);
        this.require(
          `uc_mem_write${span(address + at, length)}`,
          this.#module._uc_mem_write(this.#engine, from, place, length),
        );
      }
    } finally {
      this.#module._free(place);
    }
  }

  unmap(address: bigint, size: bigint): void {
    requirePages('unmap', address, size);
    const engine = this.requireOpen();
    this.dropCode(address, size);
    const code = this.#module._uc_mem_unmap(engine, BigInt.asIntN(64, address), BigInt.asIntN(64, size));
    this.require(`uc_mem_unmap${span(address, size)}`, code);
  }

  regions(): { start: bigint; end: bigint; permissions: string }[] {
    const engine = this.requireOpen();
    const place = this.#heap.allocate(8);
    const code = this.#module._uc_mem_regions(engine, place, place + 4);
    const [first, count] = [this.#heap.u32(place), this.#heap.u32(place + 4)];
    this.#module._free(place);
    this.require('uc_mem_regions', code);
    const regions = Array.from({ length: count }, (_, index) => {
      const at = first + index * REGION_BYTES;
      return {
        start: this.#heap.u64(at),
        end: this.#heap.u64(at + 8) + 1n,
        permissions: permissionLetters(this.#heap.u32(at + 16)),
      };
    });
    if (first !== 0) this.#module._uc_free(first);
    return regions.sort((a, b) => (a.start < b.start ? -1 : 1));
  }

  read(address: bigint, length: number): Uint8Array {
    requireWord('address', address);
    const engine = this.requireOpen();
    const call = `uc_mem_read${span(address, BigInt(length))}`;
    if (length === 0) return new Uint8Array(0);
    // Room is only made for what is there.
    if (length > 65_536 && !this.#isMapped(address, BigInt(length))) {
      this.require(call, this.constants.get('ERR_READ_UNMAPPED'));
    }
    const place = this.#heap.allocate(length);
    try {
      this.require(call, this.#module._uc_mem_read(engine, BigInt.asIntN(64, address), place, BigInt(length)));
      return this.#heap.read(place, length);
    } finally {
      this.#module._free(place);
    }
  }

  #isMapped(address: bigint, length: bigint): boolean {
    let next = address;
    for (const { start, end } of this.regions()) {
      if (start > next) return false;
      if (end > next) next = end;
      if (next >= address + length) return true;
    }
    return false;
  }

  write(address: bigint, bytes: Uint8Array): void {
    requireWord('address', address);
    const engine = this.requireOpen();
    if (bytes.length === 0) return;
    const place = this.#heap.allocate(bytes.length);
    this.#heap.write(place, bytes);
    const size = BigInt(bytes.length);
    const code = this.#module._uc_mem_write(engine, BigInt.asIntN(64, address), place, size);
    this.#module._free(place);
    this.require(`uc_mem_write${span(address, size)}`, code);
    this.dropCode(address, size);
  }

  /** Drops translated code of a range, region by region: what 2.1 drops at once is contiguous where a region is. */
  dropCode(address: bigint, length: bigint): void {
    this.#dropOrphans();
    const end = address + length > ADDRESS_END ? ADDRESS_END : address + length;
    for (const region of this.regions()) {
      const from = region.start > address ? region.start : address;
      const to = region.end < end ? region.end : end;
      if (from >= to || !region.permissions.includes('x')) continue;
      this.#control('uc_ctl_remove_cache', 'CTL_TB_REMOVE_CACHE', from, to === ADDRESS_END ? to - 1n : to);
    }
  }

  /** To be said when the callback for a fetch has mapped its page: that block is kept in the CPU's jump cache alone. */
  noteOrphans(): void {
    this.#orphans = true;
  }

  /** That cache is emptied whenever memory is mapped: map a page for a moment. */
  #dropOrphans(): void {
    if (!this.#orphans) return;
    this.#orphans = false;
    const taken = this.regions();
    const size = 2n * PAGE;
    for (let address = 0xffff_0000n; address > 0n; address -= size) {
      if (taken.some(({ start, end }) => start < address + size && address < end)) continue;
      this.map(address, size, '');
      this.unmap(address, size);
      return;
    }
  }

  saveContext(): Uint8Array {
    return this.#withContext((context) => this.#heap.read(context + CONTEXT_HEADER, this.#heap.u32(context)));
  }

  restoreContext(bytes: Uint8Array): void {
    this.#withContext((context) => {
      this.#heap.write(context + CONTEXT_HEADER, bytes);
      this.require('uc_context_restore', this.#module._uc_context_restore(this.#engine, context));
    });
  }

  #withContext<Result>(work: (context: Pointer) => Result): Result {
    const engine = this.requireOpen();
    const place = this.#heap.allocate(4);
    const allocated = this.#module._uc_context_alloc(engine, place);
    const context = this.#heap.u32(place);
    this.#module._free(place);
    this.require('uc_context_alloc', allocated);
    try {
      this.require('uc_context_save', this.#module._uc_context_save(engine, context));
      return work(context);
    } finally {
      this.#module._uc_context_free(context);
    }
  }

  /**
   * A function that stores the registers of a copy hook into its request, without making objects: one batch read, then
   * words from heap to memory. `free()` gives its buffers back.
   */
  requestWriter(spec: CopyHookSpec): RequestWriter {
    const named = spec.registers.flatMap((name, slot) =>
      name === null ? [] : [{ id: this.#wordRegister(name), slot }],
    );
    return new RequestWriter(this.#module, this.#heap, this.#engine, spec, named);
  }

  /** Unicorn does not tell a register's width: look how many bytes it stores over two different patterns. */
  #wordRegister(name: string): number {
    const id = this.#ids.find(name);
    for (const pattern of [0x00, 0xff]) {
      this.#heap.write(this.#scratch, new Uint8Array(REGISTER_BYTES).fill(pattern));
      this.#module._uc_reg_read(this.#engine, id, this.#scratch);
      const beyond = this.#heap.read(this.#scratch + 8, REGISTER_BYTES - 8);
      if (beyond.some((byte) => byte !== pattern)) {
        throw new UsercopyError('unsupported', `copy hook: register ${name} is wider than 64 bits`);
      }
    }
    return id;
  }
}

export class RequestWriter {
  readonly #module: UnicornJsModule;
  readonly #engine: Pointer;
  readonly #spec: CopyHookSpec;
  readonly #slots: readonly number[];
  readonly #ids: Pointer;
  readonly #pointers: Pointer;
  readonly #values: Pointer;
  #view: DataView;

  constructor(
    module: UnicornJsModule,
    heap: Heap,
    engine: Pointer,
    spec: CopyHookSpec,
    registers: readonly { readonly id: number; readonly slot: number }[],
  ) {
    this.#module = module;
    this.#engine = engine;
    this.#spec = spec;
    this.#view = new DataView(spec.memory.buffer);
    this.#slots = registers.map(({ slot }) => slot);
    this.#values = heap.allocate(registers.length * (REGISTER_BYTES + 8));
    this.#ids = this.#values + registers.length * REGISTER_BYTES;
    this.#pointers = this.#ids + 4 * registers.length;
    registers.forEach(({ id }, index) => {
      heap.setU32(this.#ids + 4 * index, id);
      heap.setU32(this.#pointers + 4 * index, this.#values + REGISTER_BYTES * index);
    });
  }

  store(): void {
    const { requestOffset, memory } = this.#spec;
    const module = this.#module;
    if (this.#view.buffer !== memory.buffer) this.#view = new DataView(memory.buffer);
    const count = this.#slots.length;
    // Registers of 32 bits are stored as 4 bytes.
    for (let index = 0; index < count; index++) module.setValue(this.#values + REGISTER_BYTES * index + 4, 0, 'i32');
    module._uc_reg_read_batch(this.#engine, this.#ids, this.#pointers, count);
    for (let index = 0; index < count; index++) {
      // As many as `count`.
      const at = requestOffset + 8 * this.#slots[index]!;
      const value = this.#values + REGISTER_BYTES * index;
      this.#view.setInt32(at, module.getValue(value, 'i32'), true);
      this.#view.setInt32(at + 4, module.getValue(value + 4, 'i32'), true);
    }
  }

  /** Stores a u64 in place of a register. */
  put(slot: number, value: bigint): void {
    this.#view.setBigUint64(this.#spec.requestOffset + 8 * slot, value, true);
  }

  free(): void {
    this.#module._free(this.#values);
  }
}

const span = (address: bigint, size: bigint): string => `(${hex(address)}, ${hex(size)})`;

export function requireWord(what: string, value: bigint): void {
  if (typeof value !== 'bigint' || value < 0n || value >= ADDRESS_END) {
    throw badInput(what, 'a bigint from 0 to 2^64-1', String(value).slice(0, 60));
  }
}

/** A range of pages that does not wrap. */
function requirePages(call: string, address: bigint, size: bigint): void {
  requireWord('address', address);
  requireWord('size', size);
  if (size !== 0n && address % PAGE === 0n && size % PAGE === 0n && address + size <= ADDRESS_END) return;
  throw new UsercopyError(
    'bad-input',
    `${call}${span(address, size)}: expected an address and a size that are multiples of ${PAGE} and end within 64 bits`,
  );
}

const LETTERS = ['r', 'w', 'x'];

function permissionBits(permissions: string): number {
  let bits = 0;
  for (const letter of permissions) {
    const index = LETTERS.indexOf(letter);
    if (index < 0 && letter !== '-') throw badInput('permissions', 'letters of "rwx"', `"${permissions.slice(0, 16)}"`);
    if (index >= 0) bits |= 1 << index;
  }
  return bits;
}

const permissionLetters = (bits: number): string => LETTERS.filter((_, index) => (bits >> index) & 1).join('');
