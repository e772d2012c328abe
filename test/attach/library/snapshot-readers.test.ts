/** The two readers of snapshots, that of the C library (here under Python) and that of JavaScript, take the same files for the same. */
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { deflateSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openUnicorn } from '../../../src/engine/unicorn-native.js';
import { UsercopyError } from '../../../src/errors.js';
import { applySnapshot } from '../../../src/guest/apply-snapshot.js';
import { readSnapshot } from '../../../src/guest/snapshot.js';
import { packageFile } from '../../../src/paths.js';
import { python, unicornEnvironment, unicornsHere } from '../../places.js';
import { runProgram } from './machine.js';

const PAGE = 4096;
const folder = mkdtempSync(join(tmpdir(), 'readers-'));
afterAll(() => rmSync(folder, { recursive: true }));

const SEGMENT = '"start": 65536, "end": 69632, "content_file": "page.bin"';
const index = (more: string, segment = SEGMENT): string => `{"segments": [{${segment}}]${more && `, ${more}`}}`;
const names = (count: number): string => Array.from({ length: count }, (_, at) => `"r${at}": 1`).join(', ');

const TAKEN: readonly (readonly [string, string])[] = [
  ['nothing but a segment', index('')],
  [
    'null for what may be missing',
    index('"regs": null, "arch": null, "usercopy": null', `${SEGMENT}, "permissions": null`),
  ],
  ['null for the file', index('', '"start": 65536, "end": 69632, "content_file": null')],
  ['texts for numbers', index('"regs": {"RIP": "0x10000", "rax": "12"}', '"start": "0x10000", "end": "69632"')],
  ['numbers beyond 2^53, and below 0', index('"regs": {"rip": 18446744073709551615, "rax": -2}')],
  ['one name twice', index('"regs": {"rax": 1, "rax": 2}')],
  ['registers that nobody has', index('"regs": {"r99": 1, "rax": 3}')],
  ['as many registers as there may be', index(`"regs": {${names(4096)}}`)],
  ['its own architecture', index('"arch": {"arch": "x64"}')],
  ['an architecture without a name', index('"arch": {"arch": null}')],
  ['places', index('"usercopy": {"places": {"a": [1, "0x2"]}}')],
  ['members of others', index('"dumper": [{}]', `${SEGMENT}, "colour": {}`)],
  [
    'a memory that is seen twice, the later address last',
    `{"segments": [
      {"start": 131072, "end": 135168, "usercopy_memory": 4096, "content_file": "other.bin"},
      {"start": 65536, "end": 73728, "usercopy_memory": "0x0", "content_file": ""}]}`,
  ],
  ['a link inside the folder', index('', SEGMENT.replace('page.bin', 'inner.bin'))],
];

const REFUSED: readonly (readonly [string, string])[] = [
  ['no JSON', '{'],
  ['YAML', 'segments: []'],
  ['a list', '[]'],
  ['no segments', '{"segments": []}'],
  ['segments that are none', '{"segments": {}}'],
  ['null for segments', '{"segments": null}'],
  ['no end', index('', '"start": 65536')],
  ['null for an end', index('', '"start": 65536, "end": null')],
  ['a fraction', index('', '"start": 65536.5, "end": 69632')],
  ['an exponent', index('', '"start": 65536, "end": 69632e0')],
  ['half a page', index('', '"start": 65536, "end": 69631')],
  ['more than 64 bits', index('"regs": {"rax": 18446744073709551616}')],
  ['less than 64 bits have', index('"regs": {"rax": -9223372036854775809}')],
  ['a text of more than 64 bits', index('"regs": {"rax": "18446744073709551616"}')],
  ['a text that is no number', index('"regs": {"rax": "0X10"}')],
  ['a list of registers', index('"regs": [1]')],
  ['a register that is a list', index('"regs": {"rax": [1]}')],
  ['too many registers', index(`"regs": {${names(4097)}}`)],
  ['permissions that are none', index('', `${SEGMENT}, "permissions": []`)],
  ['a file that is a number', index('', '"start": 65536, "end": 69632, "content_file": 5')],
  ['a file that is a link out of the folder', index('', SEGMENT.replace('page.bin', 'outer.bin'))],
  ['a file behind a link out of the folder', index('', SEGMENT.replace('page.bin', 'up/page.bin'))],
  ['a file elsewhere', index('', SEGMENT.replace('page.bin', '../page.bin'))],
  ['a file that is not there', index('', SEGMENT.replace('page.bin', 'none.bin'))],
  ['a name with NUL', index('', SEGMENT.replace('page.bin', 'page.bin\\u0000'))],
  ['an endless name', index('', SEGMENT.replace('page.bin', 'p'.repeat(300)))],
  ['a file of another size', index('', '"start": 65536, "end": 73728, "content_file": "page.bin"')],
  ['two at one address', `{"segments": [{${SEGMENT}}, {"start": 65536, "end": 73728}]}`],
  ['memory at half a page', index('', `${SEGMENT}, "usercopy_memory": 7`)],
  ['memory beyond 4 GiB', index('', `${SEGMENT}, "usercopy_memory": 4294967296`)],
  ['another architecture', index('"arch": {"arch": "arm64le"}')],
  ['another machine', index('"arch": {"arch": "mips"}')],
  ['a machine that nobody has', index('"arch": {"arch": "vax"}')],
  ['another width', index('"arch": {"arch": "x86"}')],
  ['an architecture that is none', index('"arch": {"arch": 5}')],
  ['an architecture in a list', index('"arch": ["x64"]')],
  ['places that are none', index('"usercopy": {"places": [1]}')],
  ['a place that is none', index('"usercopy": {"places": {"a": [1]}}')],
  ['too many places', index(`"usercopy": {"places": {${names(4097).replaceAll(': 1', ': [1, 2]')}}}`)],
  ['members that are none', index('"usercopy": 5')],
];

const page = (first: string): Uint8Array => deflateSync(Buffer.concat([Buffer.from(first), Buffer.alloc(PAGE - 8)]));
const folderOf = (at: number): string => join(folder, String(at), 'guest');

beforeAll(() => {
  [...TAKEN, ...REFUSED].forEach(([, text], at) => {
    const path = folderOf(at);
    mkdirSync(path, { recursive: true });
    writeFileSync(join(path, '_index.json'), text);
    for (const outer of [path, join(path, '..')]) writeFileSync(join(outer, 'page.bin'), page('12345678'));
    writeFileSync(join(path, 'other.bin'), page('abcdefgh'));
    symlinkSync('page.bin', join(path, 'inner.bin'));
    symlinkSync('../page.bin', join(path, 'outer.bin'));
    symlinkSync('..', join(path, 'up'));
  });
});

interface Loaded {
  readonly pages: Readonly<Record<string, string>>;
  readonly registers: readonly string[];
  readonly unknown: readonly string[];
}
type Answer = Loaded | { readonly error: string };

function inJavaScript(path: string): Answer {
  const engine = openUnicorn({ arch: 'X86', mode: ['64'] });
  try {
    const { unknownRegisters } = applySnapshot(engine, readSnapshot(path));
    const pages: Record<string, string> = {};
    for (const { start, end } of engine.regions()) {
      for (let at = start; at < end; at += BigInt(PAGE)) {
        pages[`0x${at.toString(16)}`] = Buffer.from(engine.read(at, 8)).toString('hex');
      }
    }
    const registers = engine.readRegisters(['rax', 'rip']).map((value) => `0x${value.toString(16)}`);
    return { pages, registers, unknown: [...unknownRegisters].sort() };
  } catch (error) {
    if (!(error instanceof UsercopyError)) throw error;
    return { error: error.message };
  } finally {
    engine.close();
  }
}

describe('a snapshot of another hand', () => {
  it('is the same to both readers, and refused by both where it is none', () => {
    const build = unicornsHere.at(-1)!;
    const environment = unicornEnvironment(build);
    environment['PYTHONPATH'] = `${packageFile('python')}:${environment['PYTHONPATH']}`;
    const script = packageFile('test/attach/library/load_snapshots.py');
    const cases = [...TAKEN, ...REFUSED];
    const { stdout, stderr } = runProgram(python(), [script, ...cases.map((_, at) => folderOf(at))], '', environment);
    expect(stderr).toBe('');
    const inC = stdout
      .trim()
      .split('\n')
      .map((line): Answer => JSON.parse(line));
    expect(inC).toHaveLength(cases.length);
    cases.forEach(([what], at) => {
      const answers = { what, c: inC[at]!, js: inJavaScript(folderOf(at)) };
      if (at < TAKEN.length) {
        expect(answers.js, what).not.toHaveProperty('error');
        expect(answers).toEqual({ ...answers, c: answers.js });
      } else {
        const error = expect.stringMatching(/expected/);
        expect(answers).toEqual({ what, c: { error }, js: { error } });
      }
    });
  });
});
