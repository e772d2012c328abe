/** Builds and runs `twin.c`, the C twin of the check's batch, over the same guest and the same requests. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Declaration } from '../src/check/parameters.js';
import { UsercopyError } from '../src/errors.js';
import { packageFile } from '../src/paths.js';
import type { BenchGuest } from './guest.js';

export interface TwinVerdict {
  readonly outcome: 'good' | 'bad' | 'unreadable';
  readonly offset: bigint;
  readonly size: bigint;
}

export interface TwinRun {
  /** Milliseconds of each round over the whole batch. */
  readonly rounds: readonly number[];
  readonly verdicts: readonly TwinVerdict[];
}

/** Runs `rounds` rounds of the batch at -O2. Throws `missing-dependency` when the system has no C compiler. */
export function runTwin(guest: BenchGuest, rounds: number): TwinRun {
  const directory = mkdtempSync(join(tmpdir(), 'usercopy-bench-'));
  try {
    return runIn(directory, guest, rounds);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

function runIn(directory: string, guest: BenchGuest, rounds: number): TwinRun {
  const program = join(directory, 'twin');
  compile(packageFile('bench/twin.c'), program);
  const file = (name: string) => join(directory, name);
  writeTwinFiles(directory, guest);
  const files = ['parameters', 'memory', 'requests', 'verdicts'].map(file);
  const output = execute(program, [...files, String(rounds)], 'the C twin of the check');
  const bytes = readFileSync(file('verdicts'));
  const words = new BigUint64Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
  const outcomes = ['good', 'bad', 'unreadable'] as const;
  return {
    rounds: output
      .trim()
      .split('\n')
      .map((nanoseconds) => Number(nanoseconds) / 1e6),
    verdicts: guest.requests.map((_, i) => ({
      outcome: outcomes[Number(words[i * 4])] ?? 'unreadable',
      offset: words[i * 4 + 2] ?? 0n,
      size: words[i * 4 + 3] ?? 0n,
    })),
  };
}

/** Writes what twin.c reads into a folder: `parameters`, `memory`, `requests`. */
export function writeTwinFiles(directory: string, guest: BenchGuest): void {
  const { text, memory } = describe(guest);
  writeFileSync(join(directory, 'parameters'), text);
  writeFileSync(join(directory, 'memory'), memory);
  const requests = new BigUint64Array(guest.requests.length * 6);
  guest.requests.forEach(({ copy, registers }, i) => {
    const direction = copy.direction === 'to_user' ? 1n : 0n;
    const { stackPointer, framePointer, currentBase } = registers;
    requests.set([copy.pointer, copy.size, direction, stackPointer, framePointer, currentBase], i * 6);
  });
  writeFileSync(join(directory, 'requests'), requests);
}

function compile(source: string, program: string): void {
  execute('cc', ['-O2', '-o', program, source], 'the C twin of the check');
}

/**
 * What a program says.
 * @throws UsercopyError `missing-dependency` where it is not there or fails.
 */
export function execute(program: string, parameters: readonly string[], what: string): string {
  const run = spawnSync(program, parameters, { encoding: 'utf8', timeout: 60_000 });
  if (run.error !== undefined) {
    throw new UsercopyError('missing-dependency', `${what}: expected to run ${program}, found ${run.error.message}`);
  }
  if (run.status !== 0)
    throw new UsercopyError('missing-dependency', `${what}: ${program} failed: ${run.stderr.trim()}`);
  return run.stdout;
}

/** The guest in the words that twin.c reads. */
function describe(guest: BenchGuest): { text: string; memory: Uint8Array } {
  const { parameters } = guest;
  const lines: string[] = [];
  const say = (name: string, ...values: (bigint | number)[]) => lines.push(`${name} ${values.join(' ')}`);
  say('bits', parameters.bits);
  say('big_endian', parameters.endian === 'big' ? 1 : 0);
  say('page_shift', parameters.pageShift);
  say('text_start', parameters.text?.start ?? 0n);
  say('text_end', parameters.text?.end ?? 0n);
  say('linear_text_start', parameters.linearText?.start ?? 0n);
  say('linear_text_end', parameters.linearText?.end ?? 0n);
  say('thread_size', parameters.stack.threadSize);
  say('depth_of_check', parameters.stack.depthOfCheck);
  say('depth_of_print', parameters.stack.depthOfPrint);
  if (parameters.stack.current.kind === 'register') say('task_stack', parameters.stack.current.taskStack.offset);
  describeStructures(guest, say);
  for (const one of guest.declarations) say('declared', ...declaredNumbers(one));

  const memory = new Uint8Array(guest.regions.reduce((sum, { bytes }) => sum + bytes.length, 0));
  let at = 0;
  for (const { address, bytes } of guest.regions) {
    say('region', address, bytes.length, at);
    memory.set(bytes, at);
    at += bytes.length;
  }
  return { text: `${lines.join('\n')}\n`, memory };
}

function describeStructures(
  { parameters }: BenchGuest,
  say: (name: string, ...values: (bigint | number)[]) => void,
): void {
  const guest = parameters.introspection;
  if (guest === null) return;
  const { page, slab, vmap, pageValidity: validity } = guest;
  if (validity.kind !== 'sparsemem' || vmap.kind !== 'tree' || guest.pageArray.kind !== 'vmemmap') {
    throw new UsercopyError('unsupported', 'the C twin knows SPARSEMEM_VMEMMAP and one tree of vmalloc areas only');
  }
  say('introspects', 1);
  say('vmalloc_start', guest.vmalloc.start);
  say('vmalloc_end', guest.vmalloc.end);
  say('vmap_root', vmap.root);
  say('va_start', vmap.area.vaStart.offset);
  say('va_end', vmap.area.vaEnd.offset);
  say('rb_node', vmap.area.rbNode);
  say('rb_left', vmap.area.rbLeft.offset);
  say('rb_right', vmap.area.rbRight.offset);
  say('mem_section', validity.memSection);
  say('section_size', validity.sectionSize);
  say('section_map', validity.sectionMap.offset);
  say('section_usage', validity.usage?.pointer.offset ?? 0);
  say('subsection_map', validity.usage?.bitmap ?? 0);
  say('section_bits', validity.sectionSizeBits);
  say('physical_bits', validity.physicalAddressBits);
  say('has_mem_map', validity.hasMemMap);
  say('is_early', validity.isEarly);
  say('vmemmap', guest.pageArray.address);
  say('page_size', page.size);
  say('page_flags', page.flags.offset);
  say('compound_head', page.compoundHead.offset);
  say('head_mask', page.headMask);
  say('slab_mask', page.slab.mask);
  say('order', page.order.offset);
  say('slab_cache', page.slabCache.offset);
  say('cache_size', slab.size.offset);
  say('cache_flags', slab.flags.offset);
  say('cache_pad', slab.redLeftPad?.offset ?? 0);
  say('cache_useroffset', slab.useroffset?.offset ?? 0);
  say('cache_usersize', slab.usersize?.offset ?? 0);
  say('red_zone', slab.redZone);
  say('debug_enabled', slab.debugEnabled ?? 0n);
  for (const map of guest.linearMaps) say('linear_map', map.virtual, map.size, map.physical);
}

/** Kind (as twin.c numbers it), start, end, stride, object size, red zone, window. */
function declaredNumbers(one: Declaration): (bigint | number)[] {
  switch (one.kind) {
    case 'stack':
      return [0, one.start, one.end];
    case 'slab':
      return [
        1,
        one.start,
        one.end,
        one.objectStride,
        one.objectSize,
        one.redLeftPad ?? 0n,
        one.useroffset ?? 0n,
        one.usersize ?? one.objectSize,
      ];
    case 'compound page':
      return [2, one.start, one.end];
    case 'pages':
      return [3, one.start, one.end];
    case 'vmalloc area':
      return [4, one.start, one.end];
    default:
      throw new UsercopyError('unsupported', `the C twin does not know declared ${one.kind}`);
  }
}
