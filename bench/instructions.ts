/**
 * How many instructions of this machine a verdict of the native check takes, path by path, beside its C twin: a figure that is the
 * same in every run, however busy the machine is. `instructions/count.c` counts.
 */
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Check } from '../src/check/check.js';
import { builtCheck } from '../src/engine/built-check.js';
import { UsercopyError } from '../src/errors.js';
import { buildCommand, packageFile } from '../src/paths.js';
import { install } from './baseline/differential.js';
import { fill } from './checks.js';
import { declared, withAreas } from './growth.js';
import { type BenchGuest, type BenchRequest, declaredGuest, introspectedGuest, type TargetGuest } from './guest.js';
import { present } from './present.js';
import { execute, writeTwinFiles } from './twin.js';

/** Instructions of one verdict on one path; means where the path has several copies. */
export interface InstructionCount {
  readonly path: string;
  /** Asked for one copy, as a hook asks: with the way in and out of the native check. */
  readonly native: number;
  /** In a batch. */
  readonly batch: number;
  /** Null where the twin cannot know the guest. */
  readonly twin: number | null;
}

/** A path's name, and the copies that take it. */
type Paths = ReadonlyMap<string, readonly BenchRequest[]>;

/** Ranges and areas: one, and as many as the aims name. */
export const GROWN = 100_000;
/** How often a path's one copy is judged: calling that a loop is in the figure. */
const REPEATED = 4;
/** Copies of a path whose way depends on where they are; of the mixed ones. */
const SPREAD = 8;
const MIXED = 32;

/** The addon's own object file: what is counted is what runs. */
const NATIVE_CHECK = 'build/Release/obj.target/unicorn_engine/native/native_check.o';

/**
 * Counts every path.
 * @throws UsercopyError `missing-dependency` without a C compiler, without the addon's object file, and on a system whose processes
 * must not step through their children.
 */
export async function countInstructions(): Promise<InstructionCount[]> {
  const object = packageFile(NATIVE_CHECK);
  if (!existsSync(object)) {
    throw new UsercopyError('missing-dependency', `expected ${NATIVE_CHECK}, found none: ${buildCommand()} makes it`);
  }
  const directory = mkdtempSync(join(tmpdir(), 'usercopy-instructions-'));
  try {
    const program = join(directory, 'count');
    const source = packageFile('bench/instructions/count.c');
    const flags = ['-O2', '-I', packageFile('native')];
    execute('cc', [...flags, '-o', program, source, object], 'the counter of instructions');
    const counts: InstructionCount[] = [];
    for (const { guest, paths, hasTwin } of guests()) {
      counts.push(...(await countIn(directory, program, guest, paths, hasTwin)));
    }
    return counts;
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

function guests(): { guest: BenchGuest; paths: Paths; hasTwin: boolean }[] {
  const introspected = introspectedGuest();
  const byDeclaration = declaredGuest();
  const spread = (name: string, guest: BenchGuest): Paths => new Map([[name, guest.requests.slice(0, SPREAD)]]);
  const grown = (name: string, make: (count: number) => BenchGuest, hasTwin: boolean) =>
    [1, GROWN].map((count) => {
      const guest = make(count);
      return { guest, paths: spread(`${name}, ${count.toLocaleString('en').replaceAll(',', ' ')}`, guest), hasTwin };
    });
  return [
    { guest: introspected, paths: pathsOf(introspected, ''), hasTwin: true },
    { guest: byDeclaration, paths: pathsOf(byDeclaration, 'declared '), hasTwin: true },
    ...grown('declared ranges', declared, false),
    ...grown('vmalloc areas', withAreas, true),
  ];
}

/** One copy of each kind that passes, the mixed ones of the batch, and an empty one. */
function pathsOf({ targets, registers, requests }: TargetGuest, prefix: string): Paths {
  const copyOf = (kind: Parameters<typeof targets.get>[0], size?: bigint): BenchRequest[] => {
    const [target] = present(targets.get(kind));
    const { pointer } = present(target);
    const copy = { pointer, size: size ?? present(target).size, direction: 'to_user' } as const;
    return Array.from({ length: REPEATED }, () => ({ copy, registers }));
  };
  return new Map<string, readonly BenchRequest[]>([
    [`${prefix}n=0`, copyOf('slab', 0n)],
    ...(['stack', 'slab', 'page', 'folio', 'vmalloc'] as const).map(
      (kind) => [`${prefix}${kind}`, copyOf(kind)] as const,
    ),
    [`${prefix}mixed`, requests.slice(0, MIXED)],
  ]);
}

async function countIn(
  directory: string,
  program: string,
  guest: BenchGuest,
  paths: Paths,
  hasTwin: boolean,
): Promise<InstructionCount[]> {
  const requests = [...paths.values()].flat();
  const check = await Check.create({
    source: builtCheck,
    guestBytes: guest.regions.reduce((sum, { bytes }) => sum + Math.ceil(bytes.length / 65_536) * 65_536, 65_536),
    ...{ requestCapacity: requests.length, declaredCapacity: Math.max(guest.declarations.length, 1) },
    ...{ functionCapacity: 0, ringCapacity: 1 },
  });
  install(check, guest);
  const first = fill(check, requests);
  const image = join(directory, 'image');
  writeFileSync(image, new Uint8Array(check.memory.buffer));
  if (hasTwin) writeTwinFiles(directory, { ...guest, requests });
  let start = 0;
  const groups = [...paths.values()].map(({ length }) => {
    start += length;
    return `${start - length}+${length}`;
  });
  const places = [check.contextOffset, first, check.requestBytes].map(String);
  const output = execute(
    program,
    [image, ...places, hasTwin ? directory : '-', ...groups],
    'the counter of instructions',
  );
  const lines = output.trim().split('\n');
  return [...paths].map(([path, { length }], i) => {
    const [native, batch, twin] = present(lines[i])
      .split(' ')
      .map((count) => Number(count) / length);
    return { path, native: present(native), batch: present(batch), twin: hasTwin ? present(twin) : null };
  });
}
