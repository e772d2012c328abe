#!/usr/bin/env node
/**
 * Dumps of running kernels, with the kernel as judge: boots a kernel of the cache under QEMU with busybox, stops it at
 * `__check_object_size`, and dumps
 *
 *     passes      as it stands there: the kernel goes on, and says nothing
 *     refused     with a size that no object has: the kernel's own line comes out on the console
 *     panicked    after that, in panic(): the copy is looked for in the log inside the dump, and by the stack alone
 *     elsewhere   stopped wherever it is: copies are asked with --at, and a replay must say the same
 *     off         booted with hardened_usercopy=off: the check is not called, whatever is copied; before 6.15 it returns at once
 *
 *     node scripts/boot-dumps.mjs RELEASE…            kernels of the cache (`usercopy kernel fetch`)
 *     --keep DIRECTORY   keep the dumps there         --judge DIRECTORY   judge those that were kept, boot nothing
 *     --append TEXT      more for the kernel's command line: no4lvl is Sv39 on riscv64, no5lvl Sv48
 *     --machine NAME     another machine than the plain one, and copies that only it has: scripts/lib/boot-configurations.mjs lists them.
 *                        It is not booted with the check off.
 *     --table            keep what was found in docs/kernels.json, of which docs/kernels.md is made
 *
 * Needs qemu-system of the architecture, and apt for its busybox. Exit status 1 when something is judged otherwise than the kernel did.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { gzipSync } from 'node:zlib';
import { findVariant } from '../build/js/arch/index.js';
import { stackDepthOfDump } from '../build/js/src/dump/dump-code.js';
import { DumpJudge } from '../build/js/src/dump/judge.js';
import { openDump } from '../build/js/src/dump/open-dump.js';
import { builtCheck } from '../build/js/src/engine/built-check.js';
import { openUnicorn } from '../build/js/src/engine/unicorn-native.js';
import { PrivateApt } from '../build/js/src/image/apt.js';
import { cachedKernels } from '../build/js/src/image/fetch.js';
import { loadKernel } from '../build/js/src/image/load.js';
import { atLeast } from '../build/js/src/kernel/version.js';
import { replaysOf } from '../build/js/src/repro/emulators.js';
import { copyFromTrap } from '../build/js/src/repro/from-trap.js';
import { replayCopy } from '../build/js/src/repro/replay.js';
import { entryPointOf } from '../build/js/src/stack/entry-point.js';
import { configurationOf } from './lib/boot-configurations.mjs';
import { keepRows, today } from './lib/kernel-table.mjs';
import { Machine } from './lib/qemu-machine.mjs';

const { values, positionals } = parseArgs({
  options: {
    keep: { type: 'string' },
    judge: { type: 'string' },
    append: { type: 'string', default: '' },
    machine: { type: 'string', default: 'plain' },
    table: { type: 'boolean', default: false },
  },
  allowPositionals: true,
});
const root = fileURLToPath(new URL('..', import.meta.url));
const cli = join(root, 'build/cli/main.js');
const BOOT_LIMIT = 600_000;
const READY = /UCX-READY/;
/** Where the running kernel says that its check lies: images of s390x are moved although KASLR is off. */
const CHECK = /UCX-CHECK ([0-9a-f]+) /;
/** Debian's images have no BTF there: types come from a table beside the image. */
const TYPES_ELSEWHERE = new Set(['i386', 'arm']);
/** Copies that are looked at for one that the machine is for. */
const MOST_COPIES = 4000;
/** More than any object of a slab. */
const TOO_LARGE = 1n << 20n;
const GIB = 1n << 30n;

const INIT = `#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
echo UCX-CHECK $(/bin/busybox grep ' __check_object_size$' /proc/kallsyms)
echo UCX-READY
while true; do
  /bin/busybox cat /proc/version /proc/self/status > /dev/null
  # A buffer of 151 bytes, which no power of two is.
  /bin/busybox dd if=/proc/sys/kernel/version of=/dev/null bs=150 count=1 2> /dev/null
  /bin/busybox usleep \${UCX_SLEEP:-200000}
done
`;

/** An archive of cpio's newc format. */
function cpio(files) {
  const parts = [];
  const pad = (length) => Buffer.alloc((4 - (length % 4)) % 4);
  [...files, { name: 'TRAILER!!!', mode: 0, data: Buffer.alloc(0) }].forEach(
    ({ name, mode, data, device = [0, 0] }, index) => {
      const fields = [index + 1, mode, 0, 0, 1, 0, data.length, 0, 0, ...device, name.length + 1, 0];
      const head = Buffer.from(`070701${fields.map((field) => field.toString(16).padStart(8, '0')).join('')}${name}\0`);
      parts.push(head, pad(head.length), data, pad(data.length));
    },
  );
  return Buffer.concat(parts);
}

/** busybox of an architecture, out of Debian's static build. */
async function busyboxOf(variant) {
  const { architecture } = findVariant(variant).debianKernel;
  const directory = join(root, '.cache', 'busybox', architecture);
  const find = () =>
    ['bin/busybox', 'usr/bin/busybox'].map((name) => join(directory, name)).find((file) => existsSync(file));
  if (find()) return find();
  mkdirSync(directory, { recursive: true });
  const apt = await PrivateApt.open(directory, architecture, ['bookworm', 'trixie', 'sid']);
  const { path, reason } = await apt.download('busybox-static');
  if (path === null) throw new Error(`busybox-static for ${architecture}: ${reason}`);
  execFileSync('dpkg-deb', ['-x', path, directory]);
  return find();
}

async function initrdOf(variant, directory) {
  const file = join(directory, 'initrd.gz');
  const [folder, program] = [0o40755, 0o100755];
  const entries = [
    ...['bin', 'dev', 'proc'].map((name) => ({ name, mode: folder, data: Buffer.alloc(0) })),
    { name: 'dev/console', mode: 0o20600, data: Buffer.alloc(0), device: [5, 1] },
    { name: 'dev/null', mode: 0o20666, data: Buffer.alloc(0), device: [1, 3] },
    { name: 'bin/busybox', mode: program, data: readFileSync(await busyboxOf(variant)) },
    { name: 'init', mode: program, data: Buffer.from(INIT) },
  ];
  writeFileSync(file, gzipSync(cpio(entries)));
  return file;
}

/** Takes the five dumps of a kernel. */
async function take({ variant, path, release }, directory) {
  const kernel = await loadKernel({ path });
  const {
    memory,
    processors,
    options,
    append: ofMachine = '',
    wants,
    edges = [],
  } = configurationOf(variant, values.machine);
  const linked = kernel.symbols.address('__check_object_size');
  // Functions of ppc64le have another entry behind their symbol.
  const behind = entryPointOf(kernel, findVariant(variant), '__check_object_size') - linked;
  let check = linked + behind;
  const initrd = await initrdOf(variant, directory);
  const facts = {};
  const save = async (machine, name, more) => {
    const registers = await machine.dump(join(directory, `${name}.vmcore`));
    writeFileSync(join(directory, `${name}.regs.txt`), registers);
    facts[name] = more;
  };
  const booted = async (append, work) => {
    const machine = new Machine(variant, directory);
    try {
      await machine.boot({
        kernel: path,
        initrd,
        append: [append, ofMachine, values.append].join(' '),
        memory: memory ?? (variant === 'ppc64le' ? 512 : 256),
        ...{ processors, more: options },
      });
      await machine.waitFor(READY, BOOT_LIMIT);
      const told = BigInt(`0x${CHECK.exec(machine.log())?.[1] ?? '0'}`);
      if (told !== 0n) check = told + behind;
      console.error(`${release}: booted${append && ` with ${append}`}`);
      await machine.attach();
      await work(machine);
    } finally {
      await machine.close();
    }
  };
  await booted('oops=panic panic=0', async (machine) => {
    await machine.runFor(300);
    await save(machine, 'elsewhere', {});
    const nextCopy = async () => {
      for (let attempt = 0; attempt < MOST_COPIES; attempt++) {
        if (!(await machine.runTo(check, 60_000)))
          throw new Error('expected a copy that the kernel judges, found none in a minute');
        const [pointer, size, toUser] = [
          await machine.argument(0),
          await machine.argument(1),
          await machine.argument(2),
        ];
        if ((toUser & 255n) !== 1n || size < 64n) continue;
        if (wants === undefined) return { pointer };
        const physical = await machine.physical(pointer);
        // Only in the linear map do both lie whole gigabytes apart: stacks and vmalloc space may be anywhere.
        if (physical === null || (pointer - physical) % GIB !== 0n) continue;
        if (wants({ pointer, physical, log: machine.log() })) return { pointer, linear: pointer - physical };
      }
      const where = wants === undefined ? '' : ', from where only this machine has objects';
      throw new Error(`expected a copy to user memory of 64 bytes at least${where}, found none`);
    };
    const before = machine.log().length;
    await nextCopy();
    await save(machine, 'passes', { line: null });
    // It goes on, to the next copy.
    const { pointer, linear = 0n } = await nextCopy();
    facts.places = [pointer, ...edges.map((edge) => linear + BigInt(edge))].map((at) => `0x${at.toString(16)}`);
    if (/usercopy:/.test(machine.log().slice(before))) throw new Error('the kernel refused a copy of its own');
    await machine.setArgument(1, TOO_LARGE);
    await save(machine, 'refused', {});
    await machine.runFor(3000);
    for (let round = 0; round < 20 && !/usercopy: .*!/.test(machine.log()); round++) await machine.runFor(1500);
    facts.refused.line = /usercopy: Kernel memory .*!/.exec(machine.log())?.[0] ?? null;
    // panic() of s390x ends in a wait that nothing ends, before its last line.
    const end = variant === 's390x' ? /Kernel panic - not syncing/ : /end Kernel panic/;
    const panicked = () => end.test(machine.log());
    for (let round = 0; round < 20 && !panicked(); round++) await machine.runFor(1500);
    if (!panicked()) throw new Error('expected the refused copy to end in panic(), found no end of it');
    await save(machine, 'panicked', { line: facts.refused.line, pointer: `0x${pointer.toString(16)}` });
    copyFileSync(machine.serial, join(directory, 'console.txt'));
  });
  if (values.machine === 'plain')
    await booted('hardened_usercopy=off', async (machine) => {
      await save(machine, 'off', { asked: await machine.runTo(check, 4000) });
    });
  writeFileSync(join(directory, 'facts.json'), JSON.stringify({ variant, release, ...facts }, null, 1));
}

const failures = [];
/** What the table says of the kernel that is being judged: of each column whether all was as expected. */
let answers = {};
const expect = (column, what, found, wanted) => {
  const same = JSON.stringify(found) === JSON.stringify(wanted);
  console.log(
    `${same ? 'ok ' : 'NOT'} ${what}${same ? '' : `: expected ${JSON.stringify(wanted)}, found ${JSON.stringify(found)}`}`,
  );
  answers[column] = answers[column] !== 'no' && same ? 'yes' : 'no';
  if (!same) failures.push(what);
};

function usercopy(...args) {
  const { stdout, stderr, status } = spawnSync(process.execPath, [cli, ...args, '--json'], {
    encoding: 'utf8',
    maxBuffer: 64 << 20,
  });
  try {
    return { status, json: JSON.parse(stdout), stderr };
  } catch {
    throw new Error(`${args[0]}: ${stderr.trim()}`);
  }
}

async function judge({ path, release }, directory) {
  const facts = JSON.parse(readFileSync(join(directory, 'facts.json'), 'utf8'));
  const of = (name) => ['--dump', join(directory, `${name}.vmcore`), '--regs', join(directory, `${name}.regs.txt`)];
  const one = (column, name, image, how) => {
    const { line } = facts[name];
    const { json } = usercopy('repro', ...of(name), ...image);
    expect(column, `${how}, ${name}: check`, usercopy('check', ...of(name), ...image).json.message, line);
    expect(column, `${how}, ${name}: replay`, json.replay === null ? 'no replay' : json.replay.message, line);
    expect(column, `${how}, ${name}: outcome`, json.outcome, line === null ? 'clean' : 'identical');
  };
  one('passes', 'passes', ['--kernel', path], release);
  one('refused', 'refused', ['--kernel', path], release);
  const kernel = await loadKernel({ path });
  if (facts.panicked) await judgePanicked({ kernel, path }, release, directory, facts.panicked);
  else console.log(`    ${release}, panicked: not among the dumps that were kept`);
  if (facts.off) judgeOff(kernel, release, facts.off, [...of('off'), '--kernel', path]);
  if (facts.variant === 'arm')
    console.log(`    ${release}, elsewhere: QEMU leaves the register of the current task out`);
  else await judgeElsewhere(kernel, release, directory, facts.places ?? []);
  if (TYPES_ELSEWHERE.has(facts.variant)) console.log(`    ${release}, without image: its types are in no image`);
  else one('noImage', 'refused', [], `${release}, without image`);
}

function judgeOff(kernel, release, { asked }, of) {
  // d2132f453e33 and 496d2d238864 (6.15) ask before the call.
  expect('off', `${release}, off: the kernel called its check`, asked, !atLeast(kernel.version, 6, 15));
  const text = `0x${(kernel.symbols.address('_stext') + 64n).toString(16)}`;
  const { status, json } = usercopy('check', ...of, '--at', text, '--size', '64', '--to-user');
  expect('off', `${release}, off: check`, [status, json.message], [0, null]);
  const isSaid = json.warnings.some((warning) => warning.includes('hardened_usercopy is off'));
  expect('off', `${release}, off: said`, isSaid, true);
}

async function withEngine({ variant }, work) {
  const engine = openUnicorn(variant.engine);
  try {
    return await work(engine);
  } finally {
    engine.close();
  }
}

const stackDepth = (dump, current) => withEngine(dump, (engine) => stackDepthOfDump(engine, dump, current));

/** The copy that ended the kernel: by the log inside the dump, and by what BUG() left on the stack. */
async function judgePanicked({ kernel, path }, release, directory, { line, pointer }) {
  const vmcore = join(directory, 'panicked.vmcore');
  const wanted = { pointer: BigInt(pointer), size: TOO_LARGE, direction: 'to_user' };
  const regs = join(directory, 'panicked.regs.txt');
  const { json } = usercopy('repro', '--dump', vmcore, '--regs', regs, '--kernel', path);
  const { copy } = json;
  expect(
    'panicked',
    `${release}, panicked: copy by the log`,
    [copy?.pointer, copy?.size],
    [pointer, Number(TOO_LARGE)],
  );
  expect('panicked', `${release}, panicked: outcome`, [json.outcome, json.replay?.message], ['identical', line]);
  if (findVariant(json.variant).dump.trapFrame === undefined) {
    console.log(`    ${release}, panicked: what BUG() leaves on the stack is not known of ${json.variant}`);
    return;
  }
  const registers = { text: readFileSync(regs, 'utf8'), path: regs };
  const dump = await openDump(vmcore, { image: kernel, registers });
  try {
    const found = await copyFromTrap(dump, {
      judgeOf: (of) => DumpJudge.create(of, { source: builtCheck, stackDepth }),
      withReplays: replaysOf({ withoutEmulator: null }),
    });
    const text = (one) => `${one.direction} 0x${one.pointer.toString(16)}, ${one.size} bytes`;
    expect(
      'panicked',
      `${release}, panicked: copy by the stack`,
      typeof found === 'string' ? found : text(found.copy),
      text(wanted),
    );
  } finally {
    dump.close();
  }
}

/** Copies of the stack, of what is around it, and of `places`: ours and the replay of each. */
async function judgeElsewhere(kernel, release, directory, places) {
  const registers = { text: readFileSync(join(directory, 'elsewhere.regs.txt'), 'utf8'), path: 'elsewhere.regs.txt' };
  const dump = await openDump(join(directory, 'elsewhere.vmcore'), { image: kernel, registers });
  try {
    const judge = await DumpJudge.create(dump, { source: builtCheck, stackDepth });
    const { stack } = judge.current;
    const end = stack + dump.variant.threadSize(kernel);
    const sp = dump.registers.get(dump.variant.registers.sp);
    const copies = [];
    for (const place of [stack + 64n, sp - 1024n, sp - 528n, sp - 16n, sp, sp + 32n, end - 256n, end - 16n])
      for (const size of [8n, 4096n]) copies.push({ pointer: place, size, direction: 'to_user' });
    for (const place of places.map(BigInt))
      for (const [offset, size] of [
        [-8n, 8n],
        [-8n, 16n],
        [0n, 64n],
        [0n, 8192n],
      ])
        copies.push({ pointer: place + offset, size, direction: 'to_user' });
    // Not every kernel lists all of them.
    for (const place of ['_stext', '_etext', 'init_task', '_end'].map((name) => dump.kernel.symbols.address(name)))
      for (const direction of place === undefined ? [] : ['to_user', 'from_user'])
        copies.push({ pointer: place + 8n, size: 32n, direction });
    let same = 0;
    const different = [];
    for (const copy of copies) {
      const { message } = await judge.judge(copy);
      const replay = await withEngine(dump, (engine) => replayCopy(engine, dump, copy)).catch((error) => ({
        message: error.message,
        end: 'error',
      }));
      if (replay.message === message && (replay.end === 'returned') === (message === null)) same++;
      else
        different.push({
          at: `0x${copy.pointer.toString(16)}`,
          size: Number(copy.size),
          message,
          replay: `${replay.end}: ${replay.message}`,
        });
    }
    expect('at', `${release}, elsewhere: copies on which check and replay differ`, different, []);
    answers.at = `${same} of ${copies.length}`;
    console.log(`    ${same} of ${copies.length} the same`);
  } finally {
    dump.close();
  }
}

/** A row to a machine and a command line. */
function keepAnswers({ variant, release }) {
  const { what } = configurationOf(variant, values.machine);
  const machine = values.append === '' ? what : `${what}, \`${values.append}\``;
  const found = (old) => ({
    booted: { ...old.booted, [machine]: { machine: values.machine, ...answers, judged: today() } },
  });
  keepRows([{ variant, release, found }]);
}

if (positionals.length === 0) {
  console.error('usage: node scripts/boot-dumps.mjs [--keep DIRECTORY | --judge DIRECTORY] [--machine NAME] RELEASE…');
  process.exit(2);
}
const kernels = await cachedKernels();
for (const release of positionals) {
  const kernel = kernels.find((candidate) => candidate.release === release);
  if (kernel === undefined) {
    console.error(
      `${release}: expected a kernel of the cache (${kernels.map((known) => known.release).join(', ')}), found none`,
    );
    process.exit(2);
  }
  const scratch = mkdtempSync(join(tmpdir(), 'usercopy-boot-'));
  const directory = (values.judge ?? values.keep) ? join(values.judge ?? values.keep, release) : scratch;
  mkdirSync(directory, { recursive: true });
  try {
    answers = {};
    if (values.judge === undefined) await take(kernel, directory);
    await judge(kernel, directory);
    if (values.table) keepAnswers(kernel);
  } catch (error) {
    console.error(`${release}: ${error.message}`);
    failures.push(release);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
    if (existsSync(directory))
      for (const name of readdirSync(directory)) if (name.endsWith('.socket')) rmSync(join(directory, name));
  }
}
process.exitCode = failures.length === 0 ? 0 : 1;
