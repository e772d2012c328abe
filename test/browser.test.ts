/** The rooms that a browser uses, bundled as for one and run where there is no Node.js around them. */
import { readdirSync, readFileSync } from 'node:fs';
import { createContext, runInContext } from 'node:vm';
import { build } from 'vite';
import { beforeAll, expect, it } from 'vitest';
import { drivers } from '../arch/index.js';
import { judgeReport } from '../src/diagnosis/from-report.js';
import { loadKernel } from '../src/image/load.js';
import { packageFile } from '../src/paths.js';
import { parseReports } from '../src/report/parse.js';
import { buildKdump } from './dump/kdump-builder.js';
import { sample } from './kernel/sample.js';
import { reportFiles } from './report/files.js';

type Rooms = typeof import('./house/browser-entry.js');

/** What every browser has. Typed arrays are shared, so that bytes can be handed in and out. */
const WEB = {
  ...{ ArrayBuffer, BigInt64Array, BigUint64Array, DataView, Int32Array, Uint8Array, Uint16Array, Uint32Array },
  ...{ ReadableStream, Response, TextDecoder, TextEncoder, URL, WebAssembly, atob, console, fetch, setTimeout },
};

let rooms: Rooms;

beforeAll(async () => {
  const built = await build({
    configFile: false,
    logLevel: 'error',
    build: {
      write: false,
      minify: false,
      target: 'esnext',
      lib: { entry: packageFile('test/house/browser-entry.ts'), formats: ['iife'], name: 'rooms' },
    },
  });
  const outputs = (Array.isArray(built) ? built : [built]).flatMap((result) =>
    'output' in result ? result.output : [],
  );
  const [bundle] = outputs.filter((output) => output.type === 'chunk');
  if (outputs.length !== 1 || bundle === undefined) throw new Error(`${outputs.length} files instead of one`);
  rooms = runInContext(`${bundle.code}; rooms`, createContext({ ...WEB })) as Rooms;
});

const kernel = (name: string): Buffer => readFileSync(packageFile(`guests/elf/${name}.elf`));

it('there is no Buffer there', () => {
  expect(runInContext('typeof Buffer + typeof process + typeof require', createContext({ ...WEB }))).toBe(
    'undefinedundefinedundefined',
  );
});

it.each(reportFiles('logs'))('the report $name is read as it is here', ({ log, reports }) => {
  const found = rooms.parseReports(log);
  expect(found.length).toBe(reports.length);
  expect(JSON.stringify(found, wordsAsText)).toBe(JSON.stringify(parseReports(log), wordsAsText));
});

it.each(reportFiles('logs'))('the report $name is judged as it is here', ({ log }) => {
  const judged = (read: typeof parseReports, judge: typeof judgeReport): string =>
    JSON.stringify(
      read(log).map((report) => judge(report).reproduction.explanation),
      wordsAsText,
    );
  expect(judged(rooms.parseReports, rooms.judgeReport)).toBe(judged(parseReports, judgeReport));
});

const wordsAsText = (_: string, value: unknown): unknown => (typeof value === 'bigint' ? `${value}` : value);

it.each(readdirSync(packageFile('test/kernel/fixtures')).filter((name) => /^sample\..*[^2]$/.test(name)))(
  '%s unpacks',
  async (name) => {
    const packed = new Uint8Array(readFileSync(packageFile(`test/kernel/fixtures/${name}`)));
    const unpacked = await rooms.decompress(packed, 0, 1 << 20, rooms.portableZlib);
    expect(Buffer.compare(unpacked!.bytes, sample())).toBe(0);
  },
);

it('bzip2 is refused in a sentence', async () => {
  const packed = new Uint8Array(readFileSync(packageFile('test/kernel/fixtures/sample.bz2')));
  await expect(rooms.decompress(packed, 0, 1 << 20, rooms.portableZlib)).rejects.toMatchObject({
    kind: 'unsupported',
    message: expect.stringMatching(/bunzip2/),
  });
});

it.each(['x86_64', 'i386', 's390x', 'ppc'])(
  'the kernel of the %s guest has the same symbols and types',
  async (name) => {
    const here = await loadKernel({ bytes: kernel(name), name }, { drivers });
    const elf = rooms.parseElf(kernel(name), name);
    const symbols = rooms.symbolsFromElf(elf, name)!;
    for (const wanted of ['__check_object_size', '_stext', '_etext', 'init_task'])
      expect(symbols.address(wanted)).toBe(here.symbols.address(wanted));
    const address = here.symbols.address('__check_object_size')!;
    expect(symbols.find(address + 1n)?.symbol.name).toBe(here.symbols.find(address + 1n)?.symbol.name);
    const types = rooms.parseBtf(rooms.sectionBytes(elf, '.BTF')!, name, elf.endian);
    expect(types.struct('kmem_cache').offset('size')).toBe(here.types!.struct('kmem_cache').offset('size'));
  },
);

it('a copy is judged, by check.wasm alone', async () => {
  const module = new Uint8Array(readFileSync(packageFile('build/check.wasm')));
  const here = await loadKernel({ bytes: kernel('x86_64'), name: 'x86_64' }, { drivers });
  const variant = rooms.variants.find(({ name }) => name === here.variant)!;
  const check = await rooms.Check.create({ source: { module: () => module }, guestBytes: 0 });
  expect(check.executor).toBe('v8');
  const { switches } = rooms.parseProfile('6.1');
  check.configure(rooms.checkParametersOf(here, variant, { switches, declaredOnly: true }));
  const text = here.symbols.address('_stext')!;
  const at = { stackPointer: 0n, framePointer: 0n, currentBase: 0n };
  expect(check.judge({ pointer: text, size: 8n, direction: 'to_user' }, at)).toMatchObject({
    outcome: 'bad',
    by: 'kernel text',
  });
  expect(check.judge({ pointer: 0n, size: 8n, direction: 'to_user' }, at)).toMatchObject({ by: 'null address' });
  await expect(
    rooms.Check.create({ source: { module: () => module }, guestBytes: 0, executor: 'native' }),
  ).rejects.toThrow(/no native check/);
});

it('pages of a compressed dump are read', async () => {
  const page = (fill: number) => Uint8Array.from({ length: 4096 }, (_, index) => (index * fill) & 0xff);
  const file = buildKdump([
    { number: 1, bytes: page(3), flags: 1 },
    { number: 2, bytes: page(5) },
  ]);
  const { memory } = await rooms.readDumpFile(rooms.memorySource(file, 'memory'), rooms.portableZlib);
  expect(Buffer.compare(memory.read(0x1000n, 4096)!, page(3))).toBe(0);
  expect(
    Buffer.compare(memory.read(0x1ff0n, 32)!, Buffer.concat([page(3).subarray(-16), page(5).subarray(0, 16)])),
  ).toBe(0);
});

it('bytes are found and read as text where Node.js does it in native code', () => {
  const bytes = kernel('arm64');
  for (const text of ['Linux version ', '\0kmalloc-', '\0\0\0\0', '\xff\xff\0', 'nowhere at all']) {
    const wanted = Buffer.from(text, 'latin1');
    const here: number[] = [];
    for (let at = bytes.indexOf(text, 0, 'latin1'); at >= 0; at = bytes.indexOf(text, at + 1, 'latin1')) here.push(at);
    expect([...rooms.occurrences(bytes, wanted)]).toEqual(here);
  }
  expect(rooms.latin1(bytes, 5, 50_000)).toBe(bytes.toString('latin1', 5, 50_000));
  expect(rooms.findBanner(Buffer.from('\0Linux version 6.1.0-50-amd64 (Debian 6.1.176-1)\0', 'latin1'))).toMatchObject({
    major: 6,
    patch: 176,
  });
});
