import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { drcov } from '../../src/guest/coverage.js';
import { loadOwnKernel, startOwnGuest } from '../../src/scenario/own.js';
import { usercopy } from '../cli/usercopy.js';

const folder = mkdtempSync(join(tmpdir(), 'coverage-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A reader of drcov of our own, written from DynamoRIO's description of the format. */
function readDrcov(bytes: Uint8Array) {
  const text = Buffer.from(bytes).toString('latin1');
  const lines = text.split('\n');
  expect(lines.slice(0, 2)).toEqual(['DRCOV VERSION: 2', 'DRCOV FLAVOR: drcov-64']);
  const count = Number(/^Module Table: version 2, count (\d+)$/.exec(lines[2] ?? '')?.[1]);
  const columns = (lines[3] ?? '').replace('Columns: ', '').split(', ');
  const modules = lines.slice(4, 4 + count).map((line) => {
    const values = line.trim().split(', ');
    return Object.fromEntries(columns.map((column, index) => [column, values[index] ?? '']));
  });
  const head = lines[4 + count] ?? '';
  const blockCount = Number(/^BB Table: (\d+) bbs$/.exec(head)?.[1]);
  const start = text.indexOf(head) + head.length + 1;
  expect(bytes.length).toBe(start + 8 * blockCount);
  const view = Buffer.from(bytes.subarray(start));
  const blocks = Array.from({ length: blockCount }, (_, index) => {
    const module = modules[view.readUInt16LE(index * 8 + 6)]!;
    return {
      address: BigInt(module['base']!) + BigInt(view.readUInt32LE(index * 8)),
      size: view.readUInt16LE(index * 8 + 4),
    };
  });
  return { modules, blocks };
}

describe('coverage', () => {
  it('says where every instruction was that ran, and nothing else', async () => {
    const path = join(folder, 'one.drcov');
    const call = 'do_copy(user, _stext, 64, 1)';
    const { status } = usercopy(['run', '--variant', 'x86_64', '--call', call, '--judge', 'all', '--coverage', path]);
    expect(status).toBe(1);
    const { modules, blocks } = readDrcov(readFileSync(path));
    expect(modules.map((module) => module['path'])).toEqual(['6.1.0-own']);
    // The judge: one firing of a hook on each instruction, in a guest that nothing is attached to. Ours stops at the copy.
    const guest = await startOwnGuest(await loadOwnKernel('x86_64'));
    try {
      const ran: bigint[] = [];
      const sizes = new Map<bigint, number>();
      guest.engine.hookInstruction((address, size) => {
        ran.push(address);
        sizes.set(address, size);
      });
      await guest.call('do_copy', [guest.user.address, guest.symbol('_stext'), 64n, 1n]);
      const covers = (address: bigint): boolean =>
        blocks.some((block) => address >= block.address && address < block.address + BigInt(block.size));
      expect(covers(guest.symbol('do_copy'))).toBe(true);
      const first = ran.findIndex((address) => !covers(address));
      // What was covered is the beginning of the trace. Ours stops in the first block of the kernel's own check, which was
      // entered; the trace leaves that block by its jump.
      const entry = ran.indexOf(guest.symbol('__check_object_size'));
      const left = ran.findIndex(
        (address, index) => index > entry && address !== ran[index - 1]! + BigInt(sizes.get(ran[index - 1]!)!),
      );
      expect(entry).toBeGreaterThan(0);
      expect(first).toBe(left);
      const before = new Set(ran.slice(0, first));
      for (const { address, size } of blocks) {
        let at = address;
        while (at < address + BigInt(size)) {
          expect(before).toContain(at);
          at += BigInt(sizes.get(at) ?? 0);
        }
        expect(at).toBe(address + BigInt(size));
      }
    } finally {
      guest.close();
    }
  });

  it('has code outside of the image in modules that reach it', () => {
    const image = { name: 'vmlinux', base: 0xffff_ffff_8100_0000n, end: 0xffff_ffff_8200_0000n };
    const blocks: [bigint, number][] = [
      [0xffff_ffff_8100_0010n, 16],
      [0x1000n, 4],
      [0x1_0000_2000n, 8],
      [0xffff_8880_0000_0000n, 70_000],
    ];
    const read = readDrcov(drcov(blocks, image));
    expect(read.modules.map((module) => module['path'])).toEqual(['vmlinux', 'outside', 'outside', 'outside']);
    expect(read.blocks.map(({ address, size }) => [address, size]).toSorted()).toEqual(
      blocks.map(([address, size]) => [address, Math.min(size, 0xffff)]).toSorted(),
    );
    expect(read.modules.every((module) => BigInt(module['end']!) > BigInt(module['base']!))).toBe(true);
  });

  it('is of one guest', () => {
    for (const what of [['own'], ['random', '--variant', 'x86_64', 'arm'], ['a.yaml', 'b.yaml']]) {
      const { status, err } = usercopy(['run', ...what, '--coverage', join(folder, 'x')]);
      expect(status).toBe(2);
      expect(err).toMatch(/^usercopy: run --coverage: expected one guest .*, found more\n$/);
    }
  });
});
