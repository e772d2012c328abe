import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { deflateSync } from 'node:zlib';
import { afterEach, describe, expect, it } from 'vitest';
import { variantOf } from '../../arch/index.js';
import { attach } from '../../src/attach/attach.js';
import type { Engine } from '../../src/engine/engine.js';
import { openUnicorn } from '../../src/engine/unicorn-native.js';
import { UsercopyError } from '../../src/errors.js';
import { applySnapshot } from '../../src/guest/apply-snapshot.js';
import { readSnapshot, writeSnapshot } from '../../src/guest/snapshot.js';
import { loadOwnKernel, startOwnGuest } from '../../src/scenario/own.js';

const opened: { close(): void }[] = [];
const folders: string[] = [];
const folder = (): string => {
  const made = mkdtempSync(join(tmpdir(), 'snapshot-'));
  folders.push(made);
  const inner = join(made, 'snapshot');
  mkdirSync(inner);
  return inner;
};
const open = (variant: string): Engine => {
  const { engine } = variantOf(variant);
  if ('unsupported' in engine) throw new Error(engine.unsupported);
  const emulator = openUnicorn(engine);
  opened.push(emulator);
  return emulator;
};
afterEach(() => {
  for (const thing of opened.splice(0)) thing.close();
  for (const path of folders.splice(0)) rmSync(path, { recursive: true });
});

describe.each(['x86_64', 'arm64', 'arm', 'ppc64le', 'riscv64'])(
  'a snapshot of a %s guest that was stopped before a bad copy',
  (variant) => {
    it('goes on in another emulator, whose memory is foreign to the check, into the same refusal', async () => {
      const guest = await startOwnGuest(await loadOwnKernel(variant, 'nocheck'));
      opened.push(guest);
      const object = await guest.callForValue('kmalloc', [64n]);
      const first = await attach(guest.engine, guest.kernel, { profile: '6.1', memory: guest.check });
      const outcome = await guest.call('do_copy', [guest.user.address, object, 65n, 1n]);
      expect(outcome.kind).toBe('stopped');
      const path = folder();
      writeSnapshot(guest.engine, guest.variant, path);

      const engine = open(variant);
      const snapshot = readSnapshot(path);
      expect(applySnapshot(engine, snapshot).unknownRegisters).toEqual([]);
      const second = await attach(engine, guest.kernel, { profile: '6.1' });
      const pc = engine.readRegister(guest.variant.registers.pc);
      const result = engine.runSync({ start: pc, until: 0n, timeLimit: 5000 });
      expect(result).toMatchObject({ reason: 'stopped', pc });
      const told = ({ message, copy }: (typeof first.violations)[number]) => ({ message, copy });
      expect(second.violations.map(told)).toEqual(first.violations.map(told));
      expect(second.violations[0]?.message).toContain("'kmalloc-64' (offset 0, size 65)");
    });
  },
);

describe.each([
  ['armle', { arch: 'ARM', mode: ['ARM', 'BIG_ENDIAN'] }],
  ['armbe', { arch: 'ARM', mode: ['ARM'] }],
  ['arm64be', { arch: 'ARM64', mode: ['ARM'] }],
  ['x86', { arch: 'X86', mode: ['64'] }],
  ['x64', { arch: 'X86', mode: ['32'] }],
  ['ppc', { arch: 'PPC', mode: ['PPC64', 'BIG_ENDIAN'] }],
  ['riscv64', { arch: 'RISCV', mode: ['RISCV32'] }],
  ['vax', { arch: 'X86', mode: ['64'] }],
])('a snapshot of %s', (arch, spec) => {
  it(`is refused by an emulator of ${spec.arch} ${spec.mode.join(' ')}`, () => {
    const engine = openUnicorn(spec);
    opened.push(engine);
    const snapshot = { arch, registers: new Map(), segments: [], places: [] };
    expect(() => applySnapshot(engine, snapshot)).toThrow(
      arch === 'vax' ? /expected one of .*found/ : `emulator of ${arch}`,
    );
    expect(engine.regions()).toEqual([]);
  });
});

it('a snapshot of Thumb code is one of ARM', () => {
  const engine = open('arm');
  applySnapshot(engine, { arch: 'armlethumb', registers: new Map([['r0', 7n]]), segments: [], places: [] });
  expect(engine.readRegister('r0')).toBe(7n);
});

describe('a snapshot as debuggers write it', () => {
  const page = new Uint8Array(4096).fill(0x90);
  const write = (index: string): string => {
    const path = folder();
    writeFileSync(join(path, '_index.json'), index);
    writeFileSync(join(path, 'code.bin'), deflateSync(page));
    writeFileSync(join(path, 'short.bin'), deflateSync(page.subarray(1)));
    writeFileSync(join(path, 'bomb.bin'), deflateSync(new Uint8Array(1 << 20)));
    const outside = join(path, '..', 'outside.bin');
    writeFileSync(outside, deflateSync(page));
    symlinkSync(outside, join(path, 'link.bin'));
    symlinkSync('..', join(path, 'up'));
    execFileSync('mkfifo', [join(path, 'pipe.bin')]);
    return path;
  };
  const segment = (file: string): string =>
    `{"start": 18446744071578845184, "end": 18446744071578849280, "name": "text",
      "permissions": {"r": true, "w": false, "x": true}, "content_file": "${file}"}`;

  const gigabytes = (count: number): string =>
    Array.from({ length: count }, (_, at) => `{"start": ${at * 2 ** 30}, "end": ${(at + 1) * 2 ** 30}}`).join(', ');

  it('whose index is a pipe is refused, and nobody waits for a writer', () => {
    const path = folder();
    execFileSync('mkfifo', [join(path, '_index.json')]);
    expect(() => readSnapshot(path)).toThrow(/_index\.json: expected a regular file/);
  });

  it('unpacks a file once that many segments share', () => {
    const segments = Array.from({ length: 64 }, (_, at) => {
      return `{"start": ${at * 4096}, "end": ${(at + 1) * 4096}, "content_file": "code.bin"}`;
    });
    const snapshot = readSnapshot(write(`{"segments": [${segments.join(', ')}]}`));
    expect(snapshot.segments).toHaveLength(64);
    expect(new Set(snapshot.segments.map(({ bytes }) => bytes)).size).toBe(1);
    expect([...snapshot.segments[63]!.bytes!]).toEqual([...page]);
  });

  it('keeps integers beyond 2^53, maps what was not dumped, and tells registers that the emulator lacks', () => {
    const path =
      write(`{"arch": {"arch": "x64"}, "regs": {"rip": 18446744071578845200, "RAX": "0x10", "cr8": 1, "eflags_nt": 0},
      "segments": [${segment('code.bin')},
        {"start": 4096, "end": 8192, "name": "", "permissions": {"r": true, "w": true, "x": false}, "content_file": ""}]}`);
    const snapshot = readSnapshot(path);
    expect(snapshot.arch).toBe('x64');
    const engine = open('x86_64');
    expect(applySnapshot(engine, snapshot).unknownRegisters).toEqual(['eflags_nt']);
    expect(engine.readRegisters(['rip', 'rax'])).toEqual([0xffffffff81000010n, 0x10n]);
    expect([...engine.read(0xffffffff81000000n, 2)]).toEqual([0x90, 0x90]);
    expect(engine.regions().map(({ permissions }) => permissions)).toEqual(['rw', 'rx']);
  });

  it('of a guest that sees one memory twice is mapped so', () => {
    const at = (start: number, end: number, memory: number): string =>
      `{"start": ${start}, "end": ${end}, "content_file": "", "usercopy_memory": ${memory},
        "permissions": {"r": true, "w": true}}`;
    // The linear map; the image in it; a page of its own; and, apart, two views of a page.
    const views = [at(0, 65536, 0), at(0x100000, 0x102000, 8192), at(0x200000, 0x201000, 1 << 20)];
    const apart = [at(0x300000, 0x301000, 1 << 30), at(0x400000, 0x401000, 1 << 30)];
    const engine = open('x86_64');
    applySnapshot(engine, readSnapshot(write(`{"segments": [${[...apart, ...views].join(', ')}]}`)));
    engine.write(0x100ffcn, new Uint8Array([1, 2, 3, 4, 5]));
    engine.write(0x300000n, new Uint8Array([9]));
    expect([...engine.read(0x2ffcn, 5)]).toEqual([1, 2, 3, 4, 5]);
    expect([...engine.read(0x400000n, 1)]).toEqual([9]);
    expect([...engine.read(0x200000n, 1), ...engine.read(0n, 1)]).toEqual([0, 0]);
  });

  it("keeps Thumb's state, whose pc is even", () => {
    const text = '{"start": 65536, "end": 69632, "content_file": "code.bin"}';
    const path = write(`{"regs": {"cpsr": ${0x1f3}, "pc": 65536}, "segments": [${text}]}`);
    const engine = open('arm');
    applySnapshot(engine, readSnapshot(path));
    expect(engine.readRegisters(['cpsr', 'pc']).map((value) => value & 0x10020n)).toEqual([0x20n, 0x10000n]);
  });

  it("keeps powerpc's MSR as the guest has it, HV included", async () => {
    const guest = await startOwnGuest(await loadOwnKernel('ppc64', 'nocheck'));
    opened.push(guest);
    const EE = 1n << 15n;
    const msr = guest.engine.readRegister('msr') | EE;
    guest.engine.writeRegister('msr', msr);
    const path = folder();
    writeSnapshot(guest.engine, guest.variant, path);
    const engine = open('ppc64');
    applySnapshot(engine, readSnapshot(path));
    expect(engine.readRegister('msr')).toBe(msr);
    expect(msr & (1n << 60n)).not.toBe(0n);
  });

  it('of another architecture is not applied', () => {
    const path = write(`{"arch": {"arch": "arm64le"}, "segments": [${segment('code.bin')}]}`);
    const apply = (): unknown => applySnapshot(open('x86_64'), readSnapshot(path));
    expect(apply).toThrow(/expected an emulator of arm64le, which the guest was written down on, found X86 64/);
  });

  it('gives places by their names', () => {
    const path = write(`{"usercopy": {"places": {"stack": [4096, "0x2000"]}}, "segments": [${segment('')}]}`);
    expect(readSnapshot(path).places).toEqual([{ name: 'stack', start: 4096n, end: 8192n }]);
  });

  it.each([
    ['no JSON at all', '{', /_index\.json: expected the index of a snapshot/],
    ['a list', '[]', /expected an object, found a list/],
    ['no segments', '{"regs": {}}', /expected a list of segments, found undefined/],
    ['a register that is text', '{"regs": {"rip": "here"}, "segments": []}', /regs\.rip: expected a number of 64 bits/],
    ['half a page', '{"segments": [{"start": 0, "end": 100}]}', /segments\[0\]: expected whole pages/],
    ['a segment without end', '{"segments": [{"start": 0}]}', /segments\[0\]\.end/],
    ['an enormous segment', '{"segments": [{"start": 0, "end": 9007199254740992}]}', /at most 1073741824 bytes/],
    [
      'a file that is not there',
      `{"segments": [${segment('none.bin')}]}`,
      /none\.bin: expected a file that can be read, found ENOENT/,
    ],
    ['a file that is too short', `{"segments": [${segment('short.bin')}]}`, /short\.bin: expected 4096 bytes, as/],
    ['a file that unpacks to more', `{"segments": [${segment('bomb.bin')}]}`, /bomb\.bin: expected 4096 bytes in zlib/],
    [
      'a file elsewhere',
      `{"segments": [${segment('../outside.bin')}]}`,
      /expected a file in the snapshot's own folder/,
    ],
    ['an absolute path', `{"segments": [${segment('/etc/passwd')}]}`, /passwd: expected a file that can be read/],
    ['a link to a file elsewhere', `{"segments": [${segment('link.bin')}]}`, /expected a file in the snapshot's own/],
    ['a link to a folder', `{"segments": [${segment('up/outside.bin')}]}`, /expected a file in the snapshot's own/],
    ['its own folder', `{"segments": [${segment('.')}]}`, /expected a file in the snapshot's own folder/],
    ['a pipe', `{"segments": [${segment('pipe.bin')}]}`, /pipe\.bin: expected a regular file/],
    ['too much in all', `{"segments": [${gigabytes(5)}]}`, /segments\[4\]: expected at most 4294967296 bytes in all/],
  ])('is refused in one sentence: %s', (_what, index, message) => {
    const path = write(index);
    expect(() => readSnapshot(path)).toThrow(UsercopyError);
    expect(() => readSnapshot(path)).toThrow(message);
  });
});
