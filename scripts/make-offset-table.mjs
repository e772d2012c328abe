#!/usr/bin/env node
/**
 * Makes arch/<arch>/offsets/<release>.json, the types of a kernel release whose image has none, from its BTF:
 *
 *   node scripts/make-offset-table.mjs <variant> <release> <BTF file> [another release that shares the table …]
 *
 * The BTF file is raw, compressed, or an ELF file with a .BTF section; `pahole -J` makes it from the debug package's
 * vmlinux. Say which other releases share the table only after comparing (`--compare` lists what differs):
 *
 *   node scripts/make-offset-table.mjs --compare <variant> <BTF or image file> <BTF or image file>
 */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { drivers } from '../build/js/arch/index.js';
import { loadKernel } from '../build/js/src/image/load.js';
import { nativeZlib } from '../build/js/src/image/native-zlib.js';
import { makeOffsetTable } from '../build/js/src/image/offset-tables.js';
import { readBtf } from '../build/js/src/kernel/btf.js';

const USAGE = `usage: make-offset-table.mjs <variant> <release> <BTF file> [release…]
       make-offset-table.mjs --compare <variant> <BTF or image> <BTF or image>`;

function fail(message) {
  process.stderr.write(`${message}\n`);
  process.exit(2);
}

/** Types of a BTF file, or of a kernel image that has them. */
async function typesOf(path) {
  try {
    return await readBtf(await readFile(path), path, nativeZlib);
  } catch (error) {
    const kernel = await loadKernel({ path }, { drivers }).catch(() => null);
    if (kernel?.types) return kernel.types;
    throw error;
  }
}

async function make([variant, release, btf, ...others]) {
  const driver = drivers.find((candidate) => candidate.variants.some(({ name }) => name === variant));
  if (!driver)
    fail(
      `variant: expected one of ${drivers.flatMap((d) => d.variants.map((v) => v.name)).join(', ')}, found ${variant}`,
    );
  if (!/^\d+\.\d+[\w.+-]*$/.test(release)) fail(`release: expected what uname -r says, found ${release}`);
  const table = makeOffsetTable(await typesOf(btf), variant, release);
  const directory = new URL(`../arch/${driver.linuxArch}/offsets/`, import.meta.url);
  await mkdir(directory, { recursive: true });
  const text = layOut({ ...table, releases: [release, ...others] });
  await writeFile(new URL(`${release}.json`, directory), text);
  process.stdout.write(`arch/${driver.linuxArch}/offsets/${release}.json\n`);
}

/** JSON with a structure's members on lines of their own. */
const layOut = (table) =>
  `${JSON.stringify(table, null, 2).replace(/\[\s+((?:\d+|"[^"]*")(?:,\s+(?:\d+|"[^"]*"))*)\s+\]/g, (_, list) => `[${list.replace(/\s+/g, ' ')}]`)}\n`;

async function compare([variant, first, second]) {
  const [left, right] = await Promise.all(
    [first, second].map(async (path) => makeOffsetTable(await typesOf(path), variant, path)),
  );
  let differences = 0;
  const report = (what, a, b) => {
    if (JSON.stringify(a) === JSON.stringify(b)) return;
    differences++;
    process.stdout.write(`${what}: ${JSON.stringify(a)} ${JSON.stringify(b)}\n`);
  };
  for (const name of new Set([...Object.keys(left.structs), ...Object.keys(right.structs)])) {
    const [a, b] = [left.structs[name], right.structs[name]];
    report(`struct ${name}`, a?.size, b?.size);
    for (const path of Object.keys({ ...a?.members, ...b?.members }))
      report(`  ${name}.${path}`, a?.members[path], b?.members[path]);
  }
  report('enumerators', left.enumerators, right.enumerators);
  process.stdout.write(`${differences} differences\n`);
  process.exitCode = differences === 0 ? 0 : 1;
}

const [, , command, ...rest] = process.argv;
if (command === '--compare' && rest.length === 3) await compare(rest);
else if (command && !command.startsWith('-') && rest.length >= 2) await make([command, ...rest]);
else fail(USAGE);
