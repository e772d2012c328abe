#!/usr/bin/env node
/**
 * Looks for what a long run does not give back: many guests, many attachments of one guest, many checks. Memory (RSS),
 * file descriptors and threads are read at a hundred places of each; memory may differ by 16 MiB between the second
 * quarter and the last, the others not at all. What libunicorn's translation buffer takes is told apart: it keeps the code that hooks made
 * stale until it is full, a GiB at most an emulator, and then begins anew.
 * `npm run soak [-- --guests N] [--attachments N] [--checks N] [--seconds N]`; `--seconds` bounds each of the three.
 * Exit status 1 when something grows, 2 when the bound came before the number asked for or there were too few places to tell.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { attach, Guest, loadKernel } from '../build/js/src/index.js';

const { values } = parseArgs({
  options: {
    guests: { type: 'string', default: '10000' },
    attachments: { type: 'string', default: '100000' },
    checks: { type: 'string', default: '100000000' },
    seconds: { type: 'string', default: '600' },
  },
});
const PLACES = 100;
/** With fewer a quarter has no two. */
const FEWEST_PLACES = 8;
const TOLERATED_BYTES = 16 * 2 ** 20;
const BUFFER_BYTES = 256 * 2 ** 20;
const USER = 0x1000_0000n;
const BYTES = 64n;

/** The number of an option, at least `least`. */
function number(name, least = 1) {
  const value = Number(values[name]);
  if (Number.isSafeInteger(value) && value >= least) return value;
  console.error(`soak --${name}: expected a whole number of ${least} or more, found '${values[name]}'`);
  process.exit(2);
}

const guests = number('guests', FEWEST_PLACES);
const attachments = number('attachments', FEWEST_PLACES);
const checks = number('checks', FEWEST_PLACES);
const limit = 1000 * number('seconds');

const kernel = await loadKernel(fileURLToPath(new URL('../guests/elf/x86_64.elf', import.meta.url)));

/** Bytes of RAM in the translation buffers: what can be written and executed, and is larger than anything of Node.js's that is. */
function translated() {
  let bytes = 0;
  let isBuffer = false;
  for (const line of readFileSync('/proc/self/smaps', 'utf8').split('\n')) {
    const [, start, end, mode] = /^([\da-f]+)-([\da-f]+) (\S+)/.exec(line) ?? [];
    if (mode !== undefined) isBuffer = mode === 'rwxp' && Number(`0x${end}`) - Number(`0x${start}`) > BUFFER_BYTES;
    else if (isBuffer) bytes += 1024 * Number(/^Rss: +(\d+) kB/.exec(line)?.[1] ?? 0);
  }
  return bytes;
}

function held() {
  const buffers = translated();
  return {
    bytes: process.memoryUsage.rss() - buffers,
    buffers,
    descriptors: readdirSync('/proc/self/fd').length,
    threads: readdirSync('/proc/self/task').length,
  };
}

function median(numbers) {
  return numbers.toSorted((left, right) => left - right)[Math.floor(numbers.length / 2)];
}

/** Does `step(count)` until `total` are done or the time is over; says what was held meanwhile. */
async function soak(name, total, step) {
  const samples = [];
  const began = performance.now();
  const portion = Math.max(1, Math.floor(total / PLACES));
  let done = 0;
  while (done < total && performance.now() - began < limit) {
    const count = Math.min(portion, total - done);
    await step(count);
    done += count;
    samples.push(held());
  }
  const seconds = (performance.now() - began) / 1000;
  const said = `${name.padEnd(12)} ${done} of ${total} in ${seconds.toFixed(0)} s`;
  if (samples.length < FEWEST_PLACES) {
    console.log(`${said}: too few to tell, ${samples.length} of ${FEWEST_PLACES} places`);
    process.exitCode ??= 2;
    return;
  }
  const quarter = Math.floor(samples.length / 4);
  const early = samples.slice(quarter, 2 * quarter + 1);
  const late = samples.slice(-quarter - 1);
  const change = (key) => median(late.map((held) => held[key])) - median(early.map((held) => held[key]));
  const changes = { bytes: change('bytes'), descriptors: change('descriptors'), threads: change('threads') };
  const grows = changes.bytes > TOLERATED_BYTES || changes.descriptors > 0 || changes.threads > 0;
  const mebibytes = (bytes) => (bytes / 2 ** 20).toFixed(1);
  console.log(
    `${said}: ${grows ? 'GROWS' : 'flat'}; ` +
      `RSS ${mebibytes(median(late.map(({ bytes }) => bytes)))} MiB (${mebibytes(changes.bytes)} MiB more than early) ` +
      `and ${mebibytes(late.at(-1).buffers)} MiB of translations, ` +
      `${late.at(-1).descriptors} descriptors (${changes.descriptors}), ${late.at(-1).threads} threads (${changes.threads})`,
  );
  if (grows) process.exitCode = 1;
  else if (done < total) process.exitCode ??= 2;
}

/** The guest has no objects, which is no news here. */
const QUIET = { onViolation: 'record', onBlindSpot: () => {} };

/** A copy out of the kernel's text, which is refused, under an attachment. */
async function refuseOne(guest) {
  const attachment = await attach(guest, { ...QUIET, judge: 'all' });
  await guest.call('_copy_to_user', [USER, guest.symbol('_stext'), BYTES]);
  if (attachment.violations.length === 0) throw new Error('expected a violation for a copy of text, found none');
  attachment.detach();
}

await soak('guests', guests, async (count) => {
  for (let i = 0; i < count; i++) {
    const guest = await Guest.create(kernel);
    await refuseOne(guest);
    guest.close();
  }
});

const options = [{ judge: 'kernel' }, { judge: 'all' }, { judge: 'all', mode: 'audit' }, { executor: 'v8' }];
const one = await Guest.create(kernel);
await soak('attachments', attachments, async (count) => {
  for (let i = 0; i < count; i++) (await attach(one, { ...QUIET, ...options[i % options.length] })).detach();
});

const BATCH = 1000;
const { check } = one;
const first = check.createRequests({ direction: 'to_user' }, BATCH);
await soak('checks', checks, (count) => {
  for (let done = 0; done < count; done += BATCH) check.judgeBatchExport(check.contextOffset, first, BATCH);
});
one.close();
