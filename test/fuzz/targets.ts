/** What is fuzzed: one target for each reader of files that come from elsewhere, with its seeds. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { deflateSync, gunzipSync } from 'node:zlib';
import { drivers, variants } from '../../arch/index.js';
import { parseSuppressions, SuppressionList } from '../../src/attach/suppression.js';
import { judgeReport } from '../../src/diagnosis/from-report.js';
import { readDumpFile } from '../../src/dump/dump-file.js';
import type { ByteExtent, ByteSource } from '../../src/dump/file.js';
import { parseRegisterText, registersFromNotes } from '../../src/dump/registers.js';
import { encodeShrunkNote, shrunkNoteOf } from '../../src/dump/shrunk-note.js';
import { Vmcoreinfo } from '../../src/dump/vmcoreinfo.js';
import { UsercopyError } from '../../src/errors.js';
import { readSnapshot } from '../../src/guest/snapshot.js';
import { loadKernel } from '../../src/image/load.js';
import { nativeZlib } from '../../src/image/native-zlib.js';
import { parseBtf } from '../../src/kernel/btf.js';
import { parseElf, symbolsFromElf } from '../../src/kernel/elf.js';
import { findKallsyms } from '../../src/kernel/kallsyms.js';
import { readKallsyms } from '../../src/kernel/kallsyms-decode.js';
import { decompress } from '../../src/kernel/payload/decompress.js';
import { packageFile } from '../../src/paths.js';
import { parseReports } from '../../src/report/parse.js';
import { parseScenario } from '../../src/scenario/read.js';
import { buildCore } from '../dump/core-builder.js';
import { buildFlattened, buildKdump } from '../dump/kdump-builder.js';
import { BtfWriter, sampleSymbols, writeElf, writeKallsyms } from '../kernel/images.js';

export interface FuzzTarget {
  readonly name: string;
  /** Good inputs, and bad ones that once did harm. */
  seeds(): readonly Uint8Array[];
  /** Words that mean something to the reader. */
  readonly words?: readonly string[];
  /** Reads an input and asks of the result what users ask. Anything but an answer or a UsercopyError is a fault. */
  run(bytes: Uint8Array): unknown;
}

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);
const textOf = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

function filesIn(folder: string, extension = ''): Uint8Array[] {
  const place = packageFile(folder);
  return readdirSync(place)
    .filter((name) => name.endsWith(extension))
    .sort()
    .map((name) => new Uint8Array(readFileSync(join(place, name))));
}

const seedsIn = (name: string): Uint8Array[] => filesIn(`test/fuzz/seeds/${name}`);

const BASE = 0xffffffff81000000n;

function sampleBtf(): Uint8Array {
  const writer = new BtfWriter(64, 'little');
  const int = writer.int('int', 4);
  const pointer = writer.type(2, '', 4);
  const array = writer.type(3, '', 0, 0, false, [pointer, int, 8]);
  writer.struct(4, 'page', 64, [
    ['flags', int, 0],
    ['', 5, 64],
    ['list', array, 128],
  ]);
  writer.struct(5, '', 8, [['next', pointer, 0]]);
  writer.type(8, 'page_t', 4);
  writer.type(6, 'flags', 4, 2, false, [writer.name('A'), 0, writer.name('B'), 1]);
  return writer.finish();
}

function sampleElf(bits: 32 | 64, endian: 'little' | 'big', machine: number): Uint8Array {
  const base = bits === 64 ? BASE : 0xc1000000n;
  const memory = new Uint8Array(0x3000);
  memory.set(sampleBtf(), 0x2000);
  const names = utf8('\0_stext\0_etext\0__check_object_size\0');
  const symbols = new Uint8Array((bits === 64 ? 24 : 16) * 4);
  const view = new DataView(symbols.buffer);
  [1, 8, 15].forEach((name, index) => {
    const at = (index + 1) * (bits === 64 ? 24 : 16);
    view.setUint32(at, name, endian === 'little');
    const address = base + BigInt(index * 0x100);
    if (bits === 64) {
      view.setUint8(at + 4, 0x12);
      view.setUint16(at + 6, 1, endian === 'little');
      view.setBigUint64(at + 8, address, endian === 'little');
    } else {
      view.setUint32(at + 4, Number(address), endian === 'little');
      view.setUint8(at + 12, 0x12);
      view.setUint16(at + 14, 1, endian === 'little');
    }
  });
  return writeElf(bits, endian, machine, base, memory, 0x4000, [
    { name: '.text', type: 1, flags: 6, address: base, bytes: new Uint8Array(0x400) },
    { name: '.BTF', type: 1, flags: 2, address: 0n, bytes: sampleBtf() },
    { name: '.symtab', type: 2, flags: 0, address: 0n, bytes: symbols, link: 4 },
    { name: '.strtab', type: 3, flags: 0, address: 0n, bytes: names },
  ]);
}

const ELF_SEEDS = (): Uint8Array[] => [
  sampleElf(64, 'little', 62),
  sampleElf(64, 'big', 22),
  sampleElf(32, 'little', 3),
  sampleElf(32, 'big', 20),
];

/** A file that lies in memory. */
class MemorySource implements ByteSource {
  readonly path = 'vmcore';
  readonly #bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get size(): number {
    return this.#bytes.length;
  }

  read(offset: number, length: number): Uint8Array | undefined {
    if (!Number.isSafeInteger(offset) || offset < 0 || length < 0 || offset + length > this.size) return undefined;
    return this.#bytes.subarray(offset, offset + length);
  }

  readInto(offset: number, target: Uint8Array): boolean {
    const bytes = this.read(offset, target.length);
    if (bytes !== undefined) target.set(bytes);
    return bytes !== undefined;
  }

  extents(start: number, end: number): Iterable<ByteExtent> {
    return start < end ? [{ start, end }] : [];
  }

  close(): void {}
}

/** Opens a dump and reads what every verb reads of it first: notes, registers, a few pages. */
async function readDump(bytes: Uint8Array): Promise<void> {
  const dump = await readDumpFile(new MemorySource(bytes), nativeZlib);
  shrunkNoteOf(dump.notes, 'vmcore');
  for (const { owner, data } of dump.notes) if (owner === 'VMCOREINFO') new Vmcoreinfo(data);
  for (const { dump: convention, elfMachine } of variants)
    if (convention && elfMachine === dump.machine) registersFromNotes(dump.notes, convention, dump.littleEndian);
  for (const address of [0n, 0x1000n, 0x3000n, 1n << 30n, (1n << 64n) - 0x1000n]) {
    dump.memory.read(address, 16);
    dump.memory.read(address + 0xff8n, 0x1010);
  }
  [...dump.memory.ranges].slice(0, 100);
}

const page = (fill: number): Uint8Array => new Uint8Array(4096).fill(fill);
const VMCOREINFO = utf8(
  'OSRELEASE=6.1.0\nPAGESIZE=4096\nSYMBOL(init_uts_ns)=ffffffff82a14500\nKERNELOFFSET=1000000\nNUMBER(phys_base)=16777216\n',
);

const shrunkNote = (): Uint8Array =>
  encodeShrunkNote({
    tables: { root: 0x1000n, pageShift: 12, addressBits: 48 },
    hidden: [{ virtual: BASE, size: 0x200000n, physical: 0x1000000n }],
    slide: 0n,
    imageOffset: 0n,
    inside: BASE,
    registers: new Map([['rip', BASE]]),
    atCheck: true,
    kernel: {
      variant: 'x86_64',
      bits: 64,
      endian: 'little',
      version: { release: '6.1.0', major: 6, minor: 1, patch: 0 },
      symbols: { init_task: '0xffffffff82a0c000' },
      places: {},
      structs: { page: { size: 64, fields: [{ name: 'flags', offset: 0, size: 8 }] } },
      enumerators: { PG_slab: '9' },
    } as never,
  });

const fixtures = (): Uint8Array[] =>
  filesIn('test/fixtures/dumps')
    .filter((bytes) => bytes[0] === 0x1f && bytes[1] === 0x8b)
    .map((bytes) => new Uint8Array(gunzipSync(bytes)))
    .filter((bytes) => bytes.length <= 1 << 20);

/** A folder that the snapshot target writes its index into. */
let snapshotFolder: string | undefined;
function snapshotPlace(): string {
  if (snapshotFolder === undefined) {
    const made = mkdtempSync(join(tmpdir(), 'fuzz-snapshot-'));
    snapshotFolder = join(made, 'inside');
    mkdirSync(snapshotFolder);
    process.on('exit', () => rmSync(made, { recursive: true, force: true }));
    writeFileSync(join(made, 'outside.bin'), deflateSync(page(2)));
    writeFileSync(join(snapshotFolder, 'page.bin'), deflateSync(page(1)));
    writeFileSync(join(snapshotFolder, 'bomb.bin'), deflateSync(new Uint8Array(64 << 20)));
  }
  return snapshotFolder;
}

const REGISTER_CONVENTIONS = variants.flatMap(({ dump }) => (dump ? [dump] : []));

export const targets: readonly FuzzTarget[] = [
  {
    name: 'elf',
    seeds: ELF_SEEDS,
    async run(bytes) {
      const kernel = await loadKernel({ bytes, name: 'vmlinux' }, { drivers });
      kernel.symbols.address('__check_object_size');
      kernel.symbols.find(BASE + 0x100n);
    },
  },
  {
    name: 'elf symbols',
    seeds: ELF_SEEDS,
    run(bytes) {
      const symbols = symbolsFromElf(parseElf(bytes, 'vmlinux'), 'vmlinux');
      symbols?.address('_stext');
      for (const address of [0n, BASE, BASE + 0x180n, (1n << 64n) - 1n]) symbols?.find(address);
    },
  },
  {
    name: 'kallsyms',
    seeds: () => [
      writeKallsyms(64, 'little', '6.2', sampleSymbols(BASE), BASE, false),
      writeKallsyms(64, 'little', '4.20', sampleSymbols(BASE), BASE, false),
      writeKallsyms(64, 'little', '6.4', sampleSymbols(BASE), BASE, true),
      writeKallsyms(64, 'little', '7.0', sampleSymbols(BASE), BASE, false),
    ],
    run(bytes) {
      const layout = findKallsyms(bytes, 64, 'little');
      if (layout === null) return;
      const symbols = readKallsyms(bytes, layout, 64, 'little', 0n);
      symbols.address('no such symbol');
      symbols.find(BASE + 0x1000n);
    },
  },
  {
    name: 'btf',
    seeds: () => [sampleBtf()],
    run(bytes) {
      const types = parseBtf(bytes, 'types');
      for (const name of ['page', 'page_t', 'flags']) {
        if (!types.hasStruct(name)) continue;
        const struct = types.struct(name);
        for (const field of ['flags', 'next', 'list', 'next.x']) struct.has(field);
      }
      types.enumerator('B');
    },
  },
  {
    name: 'payload',
    seeds: () => [...filesIn('test/kernel/fixtures').filter((bytes) => bytes.length > 4096), ...seedsIn('payload')],
    run: (bytes) => decompress(bytes, 0, 1 << 20, nativeZlib),
  },
  {
    name: 'kdump',
    seeds: () => [
      buildKdump(
        [1, 2, 3].map((number) => ({ number, bytes: page(number), flags: number === 2 ? 1 : 0 })),
        {
          vmcoreinfo: VMCOREINFO,
        },
      ),
      buildKdump([{ number: 1, bytes: page(7) }], { little: false, machine: 's390x' }),
      buildKdump([
        { number: 1, bytes: page(7), flags: 2 },
        { number: 2, bytes: page(7), flags: 4 },
        { number: 3, bytes: page(7), flags: 32 },
      ]),
      buildKdump([{ number: 1, bytes: page(0), flags: 1, packed: deflateSync(new Uint8Array(16 << 20)) }]),
      buildKdump([{ number: 1, bytes: page(7) }], { bits: 32, machine: 'i686' }),
    ],
    words: ['KDUMP   ', 'x86_64', 'aarch64', 's390x', 'ppc64le', 'sparc64'],
    run: readDump,
  },
  {
    name: 'flattened',
    seeds: () => {
      const core = buildCore([
        { physical: 0n, bytes: page(1) },
        { physical: 0x3000n, bytes: page(3) },
      ]);
      const half = core.length >> 1;
      const pieces = [
        { offset: half, bytes: core.subarray(half) },
        { offset: 0, bytes: core.subarray(0, half) },
      ];
      return [buildFlattened(pieces), buildFlattened([{ offset: 0, bytes: core }, ...pieces])];
    },
    words: ['makedumpfile'],
    run: readDump,
  },
  {
    name: 'elf core',
    seeds: () => [
      buildCore(
        [
          { physical: 0n, bytes: page(1) },
          { physical: 0x3000n, bytes: page(3) },
        ],
        {
          notes: [
            { owner: 'VMCOREINFO', type: 0, data: VMCOREINFO },
            { owner: 'CORE', type: 1, data: new Uint8Array(336) },
          ],
        },
      ),
      buildCore([{ physical: 0x1000n, bytes: page(1) }], { wide: false, little: false, machine: 20 }),
      buildCore([{ physical: 0x1000n, bytes: page(1) }], { extended: true }),
      ...fixtures(),
    ],
    run: readDump,
  },
  {
    name: 'shrunk note',
    seeds: () => [shrunkNote()],
    words: ['"kernel"', '"tables"', '"fields"', 'null', '"0x1"', '"pageShift":64'],
    run: (data) => shrunkNoteOf([{ owner: 'USERCOPY', type: 1, data }], 'small.vmcore'),
  },
  {
    name: 'info registers',
    seeds: () => seedsIn('registers'),
    words: ['CPU#1', 'RIP=', 'CR3=', 'PSW=mask ', ' addr ', 'GPR00 ', 'X00=', 'PSTATE='],
    run(bytes) {
      const text = textOf(bytes);
      for (const convention of REGISTER_CONVENTIONS) {
        try {
          for (const cpu of parseRegisterText(text, convention, 'regs.txt')) convention.fromRegisters(cpu);
        } catch (error) {
          // Registers of one machine are none of another's.
          if (!(error instanceof UsercopyError)) throw error;
        }
      }
    },
  },
  {
    name: 'report',
    seeds: () => [...filesIn('test/report/logs', '.log'), ...seedsIn('report')],
    words: [
      'usercopy: Kernel memory ',
      'exposure',
      'overwrite',
      ' attempt detected',
      "SLUB object '",
      ' (offset ',
      ', size ',
      'kernel BUG at',
      'Call Trace:',
      'CPU: 1 PID: 2',
      'Modules linked in:',
      '<IRQ>',
      '+0x0/0x0',
      '&#39;',
      '&amp;',
      '> ',
    ],
    run(bytes) {
      for (const report of parseReports(textOf(bytes)).slice(0, 20)) judgeReport(report);
    },
  },
  {
    name: 'scenario',
    seeds: () => seedsIn('scenario'),
    words: [
      'guest:',
      'objects:',
      'copies:',
      'expect:',
      'declare:',
      '&a ',
      '*a',
      '<<: ',
      '!!binary ',
      '[',
      '? ',
      '0x',
      '- ',
    ],
    run: (bytes) => parseScenario(textOf(bytes), 'case.yaml'),
  },
  {
    name: 'snapshot',
    seeds: () => seedsIn('snapshot'),
    words: [
      '"../outside.bin"',
      '"/etc/passwd"',
      '"bomb.bin"',
      '"page.bin"',
      '"content_file"',
      '"start"',
      '"end"',
      '18446744073709551615',
      'null',
      '-1',
      '&a ',
      '*a',
    ],
    run(bytes) {
      const folder = snapshotPlace();
      writeFileSync(join(folder, '_index.json'), bytes);
      for (const { bytes: content } of readSnapshot(folder).segments)
        if (content?.[0] === 2) throw new Error('a file outside the snapshot was read');
    },
  },
  {
    name: 'suppressions',
    seeds: () => seedsIn('suppressions'),
    words: ['caller=', 'cache=', 'region=', 'direction=', 'entry=', '*', '*a', '"'],
    run(bytes) {
      const list = new SuppressionList(parseSuppressions(textOf(bytes), 'known.txt'));
      const facts = { caller: 'a'.repeat(200), cache: `kmalloc-${'a'.repeat(60)}`, region: 'slab object' };
      list.silences({ ...facts, direction: 'to_user', entry: '_copy_to_user' });
    },
  },
];
