/** What a shared library's file says of itself, read before any loader sees it: ELF and Mach-O. */
import { readFileSync } from 'node:fs';

/** e_machine to Node's name of the processor. */
const ELF_MACHINES = {
  3: 'ia32',
  8: 'mips',
  21: 'ppc64',
  22: 's390x',
  40: 'arm',
  62: 'x64',
  183: 'arm64',
  243: 'riscv64',
  258: 'loong64',
};
const MACH_MACHINES = { 7: 'ia32', 12: 'arm', 16777223: 'x64', 16777228: 'arm64' };
const ET_DYN = 3;
const PT_LOAD = 1;
const PT_DYNAMIC = 2;
const DT_NEEDED = 1;
const DT_STRTAB = 5;
const DT_STRSZ = 10;
const DT_VERNEED = 0x6ffffffe;
const DT_VERNEEDNUM = 0x6fffffff;
const MH_DYLIB = 6;

/** Compares dotted numbers: below, equal, above zero. */
export function compareVersions(left, right) {
  const [one, other] = [left, right].map((text) => text.split('.').map(Number));
  for (let i = 0; i < Math.max(one.length, other.length); i++) {
    const difference = (one[i] ?? 0) - (other[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

const hasName = (bytes, name) => bytes.includes(Buffer.from(`\0${name}\0`, 'latin1'));

function text(bytes, start) {
  const end = bytes.indexOf(0, start);
  return bytes.toString('latin1', start, end < 0 ? bytes.length : end);
}

function readElf(bytes) {
  const is64 = bytes[4] === 2;
  const little = bytes[5] === 1;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const half = (at) => view.getUint16(at, little);
  const word = (at) => view.getUint32(at, little);
  const long = (at) => (is64 ? Number(view.getBigUint64(at, little)) : word(at));
  const machine = ELF_MACHINES[half(18)] ?? `ELF machine ${half(18)}`;
  const facts = {
    format: 'ELF',
    machines: [is64 || machine !== 's390x' ? machine : 's390'],
    littleEndian: little,
    isLibrary: half(16) === ET_DYN,
    glibc: null,
    needed: [],
    exports: () => false,
  };
  const [headers, size, count] = is64 ? [long(32), half(54), half(56)] : [long(28), half(42), half(44)];
  const segments = Array.from({ length: count }, (_, i) => {
    const at = headers + i * size;
    const [offset, address, fileSize] = is64 ? [8, 16, 32] : [4, 8, 16];
    return { type: word(at), offset: long(at + offset), address: long(at + address), size: long(at + fileSize) };
  });
  const place = (address) => {
    const inside = ({ type, address: start, size: length }) =>
      type === PT_LOAD && address >= start && address < start + length;
    const segment = segments.find(inside);
    return segment ? address - segment.address + segment.offset : undefined;
  };
  const dynamic = segments.find(({ type }) => type === PT_DYNAMIC);
  if (!dynamic) return { ...facts, isLibrary: false };
  const tags = new Map();
  const needed = [];
  const step = is64 ? 16 : 8;
  for (let at = dynamic.offset; at + step <= dynamic.offset + dynamic.size && long(at) !== 0; at += step) {
    if (long(at) === DT_NEEDED) needed.push(long(at + step / 2));
    else tags.set(long(at), long(at + step / 2));
  }
  const strings = place(tags.get(DT_STRTAB));
  if (strings === undefined) return facts;
  const names = bytes.subarray(strings, strings + (tags.get(DT_STRSZ) ?? 0));
  facts.needed = needed.map((name) => text(names, name));
  let need = tags.has(DT_VERNEED) ? place(tags.get(DT_VERNEED)) : undefined;
  // vn_version, vn_cnt, vn_file, vn_aux, vn_next; vna_hash, vna_flags, vna_other, vna_name, vna_next.
  for (let left = Math.min(tags.get(DT_VERNEEDNUM) ?? 0, 1000); left > 0 && need !== undefined; left--) {
    let auxiliary = need + word(need + 8);
    for (let more = half(need + 2); more > 0; more--) {
      const version = /^GLIBC_(\d[\d.]*)$/.exec(text(names, word(auxiliary + 8)))?.[1];
      if (version && (facts.glibc === null || compareVersions(version, facts.glibc) > 0)) facts.glibc = version;
      if (word(auxiliary + 12) === 0) break;
      auxiliary += word(auxiliary + 12);
    }
    if (word(need + 12) === 0) break;
    need += word(need + 12);
  }
  return { ...facts, exports: (name) => hasName(names, name) };
}

function readMachO(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const named = (type) => MACH_MACHINES[type] ?? `Mach-O CPU ${type}`;
  const facts = {
    format: 'Mach-O',
    littleEndian: true,
    glibc: null,
    needed: [],
    exports: (name) => hasName(bytes, `_${name}`),
  };
  if (view.getUint32(0) !== 0xcafebabe)
    return { ...facts, machines: [named(view.getUint32(4, true))], isLibrary: view.getUint32(12, true) === MH_DYLIB };
  const parts = Array.from({ length: view.getUint32(4) }, (_, i) => 8 + i * 20);
  return {
    ...facts,
    machines: parts.map((at) => named(view.getUint32(at))),
    isLibrary: parts.every((at) => view.getUint32(view.getUint32(at + 8) + 12, true) === MH_DYLIB),
  };
}

/**
 * Reads a library's file; null for what is neither ELF nor Mach-O, or is cut off.
 * `machines`: processors by Node's names; `glibc`: the newest version of the GNU C library that it asks for, null when
 * none; `needed`: the libraries that an ELF file asks for by name; `exports(name)`: whether the name is among its dynamic symbols' names.
 */
export function readLibrary(bytes) {
  try {
    if (bytes.readUInt32BE(0) === 0x7f454c46) return readElf(bytes);
    if (bytes.readUInt32LE(0) === 0xfeedfacf || bytes.readUInt32BE(0) === 0xcafebabe) return readMachO(bytes);
    return null;
  } catch (error) {
    if (error instanceof RangeError) return null;
    throw error;
  }
}

/** The GNU C library that runs this process; null on machines with another one. */
export function glibcHere() {
  // Without this the report looks up the names of open connections.
  process.report.excludeNetwork = true;
  return process.report.getReport().header.glibcVersionRuntime ?? null;
}

/** Whether this machine can load a libunicorn: `{ problem, glibc }`, the problem a sentence's end or null. */
export function examineUnicorn(
  file,
  here = { arch: process.arch, glibc: glibcHere(), littleEndian: isLittleEndian() },
) {
  const bytes = readFileSync(file);
  const library = readLibrary(bytes);
  const answer = (problem) => ({ problem, glibc: library?.glibc ?? null });
  if (library === null || !library.isLibrary)
    return answer(
      `expected a shared library (ELF or Mach-O), found ${library ? `another kind of ${library.format} file` : `${bytes.length} bytes of something else`}`,
    );
  if (!library.machines.includes(here.arch) || library.littleEndian !== here.littleEndian)
    return answer(
      `expected a library for ${here.arch}, the processor that Node.js runs on, found one for ${library.machines.join(', ')}`,
    );
  if (!library.exports('uc_open')) return answer('expected libunicorn, found a library without uc_open');
  if (!library.exports('uc_ctl'))
    return answer('expected libunicorn 2.0.1 or later, found one of before 2.0 (it has no uc_ctl)');
  if (library.glibc === null) return answer(null);
  if (here.glibc === null) return answer(`it is built for the GNU C library, which this machine does not have`);
  if (compareVersions(library.glibc, here.glibc) > 0)
    return answer(`it needs the GNU C library ${library.glibc}, this machine has ${here.glibc}`);
  return answer(null);
}

function isLittleEndian() {
  return new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;
}
