/**
 * A module that answers unicorn.js's raw exports without an emulator behind them: it shows how the engine calls them
 * (64-bit values, control words, whose memory is zeroed) and nothing else. That the engine works is for the contract.
 */
import type { UnicornJsModule } from '../../src/engine/unicorn-js/module.js';

export interface Call {
  readonly name: string;
  readonly args: readonly unknown[];
}

export interface Stub {
  readonly module: UnicornJsModule;
  readonly calls: Call[];
  /** Arguments of every call of that name. */
  of(name: string): (readonly unknown[])[];
  /** What `_uc_emu_start` does: a test raises callbacks here. */
  onStart: (hooks: ReadonlyMap<number, (...args: unknown[]) => unknown>) => void;
  /** What `uc_ctl` was called with: the type, how many values in which direction, and the first value. */
  controls(): { type: number; count: number; write: boolean; value: number }[];
}

const HEAP_BYTES = 1 << 23;
/** What the heap holds before anyone writes. */
export const DIRT = 0xaa;

/** Numbers of unicorn.h and x86.h. */
const CONSTANTS = {
  ARCH_X86: 4,
  MODE_64: 8,
  X86_REG_INVALID: 0,
  X86_REG_EIP: 26,
  X86_REG_IP: 34,
  X86_REG_RAX: 35,
  X86_REG_RIP: 41,
  ERR_OK: 0,
  ERR_READ_UNMAPPED: 6,
  MEM_READ_UNMAPPED: 19,
  MEM_WRITE_UNMAPPED: 20,
  MEM_FETCH_UNMAPPED: 21,
  MEM_WRITE_PROT: 22,
  MEM_READ_PROT: 23,
  MEM_FETCH_PROT: 24,
  HOOK_CODE: 1 << 2,
  HOOK_MEM_READ_INVALID: (1 << 7) + (1 << 4),
  HOOK_MEM_WRITE_INVALID: (1 << 8) + (1 << 5),
  HOOK_MEM_FETCH_INVALID: (1 << 9) + (1 << 6),
  CTL_CPU_MODEL: 7,
  CTL_TB_REMOVE_CACHE: 9,
  CTL_TLB_TYPE: 12,
  TLB_CPU: 0,
  TLB_VIRTUAL: 1,
  VERSION_PATCH: 4,
};

export function stubModule(): Stub {
  const heap = new Uint8Array(HEAP_BYTES).fill(DIRT);
  const view = new DataView(heap.buffer);
  const calls: Call[] = [];
  const registers = new Map<number, bigint>();
  const functions = new Map<number, (...args: unknown[]) => unknown>();
  /** By type of hook. */
  const hooks = new Map<number, (...args: unknown[]) => unknown>();
  let top = 1024;
  let slots = 1;

  const answers: Record<string, (...args: never[]) => number> = {
    _uc_arch_supported: () => 1,
    _uc_version: (major: number, minor: number) => {
      view.setUint32(major, 2, true);
      view.setUint32(minor, 1, true);
      return 0x0201_04ff;
    },
    _uc_strerror: (code: number) => {
      heap.set(new TextEncoder().encode(`error ${code}\0`), 512);
      return 512;
    },
    _uc_open: (_arch: number, _mode: number, place: number) => {
      view.setUint32(place, 4096, true);
      return 0;
    },
    _uc_reg_read: (_engine: number, register: number, place: number) => {
      view.setBigUint64(place, registers.get(register) ?? 0n, true);
      return 0;
    },
    _uc_reg_write: (_engine: number, register: number, place: number) => {
      registers.set(register, view.getBigUint64(place, true));
      return 0;
    },
    _uc_hook_add: (_engine: number, handle: number, type: number, callback: number) => {
      view.setUint32(handle, type, true);
      hooks.set(type, functions.get(callback)!);
      return 0;
    },
    _uc_mem_regions: (_engine: number, regions: number, count: number) => {
      view.setUint32(regions, 0, true);
      view.setUint32(count, 0, true);
      return 0;
    },
    _uc_emu_start: () => {
      stub.onStart(hooks);
      return 0;
    },
  };
  const raw = (name: string) => {
    const answer = answers[name] ?? (() => 0);
    return (...args: never[]): number => {
      // What a pointer leads to is of the moment of the call.
      const value = name === '_uc_ctl' ? [view.getUint32(args[2]!, true)] : [];
      calls.push({ name, args: [...args, ...value] });
      return answer(...args);
    };
  };

  const NAMES = (
    'arch_supported version strerror open close query ctl reg_read reg_write reg_read_batch mem_map mem_unmap mem_read ' +
    'mem_write mem_regions hook_add hook_del emu_start emu_stop context_alloc context_save context_restore context_free free'
  ).split(' ');
  const module = {
    ...CONSTANTS,
    ...Object.fromEntries(NAMES.map((name) => [`_uc_${name}`, raw(`_uc_${name}`)])),
    getValue: (pointer: number, type: string) => (type === 'i8' ? view.getInt8(pointer) : view.getInt32(pointer, true)),
    setValue: (pointer: number, value: number, type: string) =>
      type === 'i8' ? view.setInt8(pointer, value) : view.setInt32(pointer, value, true),
    addFunction: (callback: (...args: unknown[]) => unknown) => {
      functions.set(slots, callback);
      return slots++;
    },
    removeFunction: (slot: number) => void functions.delete(slot),
    writeArrayToMemory: (bytes: Uint8Array, pointer: number) => heap.set(bytes, pointer),
    _malloc: (bytes: number) => {
      const pointer = top;
      top += (bytes + 15) & ~15;
      return pointer;
    },
    _free: () => {},
  } as unknown as UnicornJsModule;
  const stub: Stub = {
    module,
    calls,
    of: (name) => calls.filter((call) => call.name === name).map(({ args }) => args),
    onStart: () => {},
    controls: () =>
      stub.of('_uc_ctl').map(([, word, , value]) => ({
        type: (word as number) & 0xffff,
        count: ((word as number) >>> 26) & 0xf,
        write: (word as number) >>> 30 === 1,
        value: value as number,
      })),
  };
  return stub;
}
