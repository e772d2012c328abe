/** The programs that read lines of source out of debug information. */
import { spawnSync } from 'node:child_process';
import { badInput, codeOf, hex, UsercopyError } from '../errors.js';

/** One function at an address; `inlined` into the one behind it. */
export interface SourceFrame {
  /** null where the debug information has none. */
  readonly symbol: string | null;
  /** `file:line`; null where there is none. */
  readonly source: string | null;
  readonly inlined: boolean;
}

export interface Symbolizer {
  readonly program: string;
  options(file: string): readonly string[];
  /** Options more for addresses that are counted from a section's start; null where the program knows none. */
  sectionOptions(section: string): readonly string[] | null;
}

const TIME_LIMIT = 120_000;
/** Bytes that one run may answer. */
const LARGEST_ANSWER = 256 << 20;

/** It reads every architecture. */
const LLVM: readonly Symbolizer[] = [
  'llvm-symbolizer',
  ...[21, 20, 19, 18, 17, 16, 15, 14].map((version) => `llvm-symbolizer-${version}`),
].map((program) => ({
  program,
  options: (file) => [`--obj=${file}`, '--functions=linkage', '--no-demangle', '--addresses'],
  sectionOptions: () => null,
}));
/** Reads the architectures that it was built for; of packed sections it knows other kinds. */
const BINUTILS: readonly Symbolizer[] = [
  {
    program: 'addr2line',
    options: (file) => ['-e', file, '-f', '-i', '-a'],
    sectionOptions: (section) => ['-j', section],
  },
];

/** Options of their own, and servers that they would ask for files that lie nowhere here. */
const environment = (): NodeJS.ProcessEnv => ({
  ...process.env,
  DEBUGINFOD_URLS: '',
  LLVM_SYMBOLIZER_OPTS: '',
  LC_ALL: 'C',
});

/** @throws UsercopyError `missing-dependency` where none of them is there that can do what is wanted. */
export function findSymbolizers(ofModule: boolean): readonly [Symbolizer, ...Symbolizer[]] {
  const isThere = ({ program }: Symbolizer): boolean =>
    spawnSync(program, ['--version'], { stdio: 'ignore' }).status === 0;
  const [llvm, binutils] = [ofModule ? undefined : LLVM.find(isThere), BINUTILS.find(isThere)];
  const [first, ...others] = [llvm, binutils].flatMap((found) => found ?? []);
  if (first !== undefined) return [first, ...others];
  throw new UsercopyError(
    'missing-dependency',
    ofModule
      ? '--debug: expected addr2line, which reads modules, found none'
      : '--debug: expected llvm-symbolizer or addr2line, found neither',
  );
}

export interface Symbolized {
  /** Innermost first. */
  readonly frames: ReadonlyMap<bigint, readonly SourceFrame[]>;
  /** The first line of what the program complained of; null where it did not. */
  readonly complaint: string | null;
}

/**
 * Frames by address.
 * @throws UsercopyError `missing-dependency` where the program does not get done, or leaves an address out; `bad-input` where
 *   it cannot read the file.
 */
export function framesAt(
  { program, options, sectionOptions }: Symbolizer,
  file: string,
  addresses: readonly bigint[],
  section: string | null = null,
): Symbolized {
  const more = section === null ? [] : (sectionOptions(section) ?? []);
  const { stdout, stderr, error, status, signal } = spawnSync(program, [...options(file), ...more], {
    input: addresses.map((address) => `${hex(address)}\n`).join(''),
    encoding: 'utf8',
    timeout: TIME_LIMIT,
    maxBuffer: LARGEST_ANSWER,
    env: environment(),
  });
  if (error !== undefined) {
    const why = codeOf(error) === 'ETIMEDOUT' ? `none after ${TIME_LIMIT / 1000} s` : error.message;
    throw new UsercopyError('missing-dependency', `${file}: expected lines of source from ${program}, found ${why}`);
  }
  const complaint = stderr.trim().split('\n')[0]?.slice(0, 200) ?? '';
  const said = complaint === '' ? '' : `: ${complaint}`;
  if (status !== 0) {
    throw badInput(file, `debug information that ${program} reads`, `its status ${status ?? signal}${said}`);
  }
  // An address is a line of its own, before its frames.
  const [, ...pieces] = stdout.split(/^(0x[0-9a-f]+)\r?$/im);
  const answers = new Map<bigint, readonly SourceFrame[]>();
  for (let at = 0; at + 1 < pieces.length; at += 2) {
    answers.set(BigInt(pieces[at] ?? 0), framesOf(pieces[at + 1] ?? ''));
  }
  const left = addresses.find((address) => !answers.has(address));
  if (left === undefined) return { frames: answers, complaint: complaint === '' ? null : complaint };
  throw new UsercopyError(
    'missing-dependency',
    `${file}: expected ${program} to name each address before its lines, found nothing for ${hex(left)}${said}`,
  );
}

/** A function and its place, a line each, the innermost first. */
function framesOf(answer: string): SourceFrame[] {
  const lines = answer.split('\n').filter((line) => line !== '');
  const frames: SourceFrame[] = [];
  for (let index = 0; index + 1 < lines.length; index += 2) {
    const [symbol = '', place = ''] = lines.slice(index, index + 2);
    const source = /^(.*?:\d+)(?::\d+)?(?: \(.*\))?$/.exec(place)?.[1] ?? '';
    frames.push({
      symbol: symbol.startsWith('?') ? null : symbol,
      // Line 0 is code that the compiler made up.
      source: source === '' || source.startsWith('?') || source.endsWith(':0') ? null : source,
      inlined: index + 3 < lines.length,
    });
  }
  return frames;
}
