/** The smallest configuration that a kernel is built with here, and fragments that change it. */
import { badInput } from '../errors.js';

/** Options by name, without CONFIG_; `y`, `n`, a number, or a text in quotes. Later ones win where the kernel lets one be chosen. */
export type ConfigFragment = ReadonlyMap<string, string>;

const FRAGMENT_LIMIT = 1000;
const SET = /^CONFIG_(\w+)=(y|n|-?\d+|0x[\da-fA-F]+|"[^"\\]*")$/;
const UNSET = /^# CONFIG_(\w+) is not set$/;

/**
 * What every kernel gets, whatever its architecture: the check and what it reads, names and types of everything. Names that
 * a series does not know yet, or no more, are passed over by Kconfig.
 */
export const BASE_CONFIG: ConfigFragment = parseFragment(
  `
# Without EXPERT terminals, timers and much else cannot be left out; with it BUG and PRINTK have to be asked for.
CONFIG_EXPERT=y
CONFIG_BUG=y
CONFIG_PRINTK=y
CONFIG_DEBUG_KERNEL=y
CONFIG_KALLSYMS=y
CONFIG_KALLSYMS_ALL=y
CONFIG_IKCONFIG=y
CONFIG_DEBUG_INFO=y
# CONFIG_DEBUG_INFO_NONE is not set
CONFIG_DEBUG_INFO_DWARF4=y
CONFIG_JUMP_LABEL=y
CONFIG_SLUB=y
# SLUB_DEBUG, without which the check knows no red zones, asks for SYSFS.
CONFIG_SYSFS=y
CONFIG_SLUB_DEBUG=y
CONFIG_HARDENED_USERCOPY=y
CONFIG_HARDENED_USERCOPY_DEFAULT_ON=y
`,
  'the configuration of every kernel',
);

/** Of these none may go unmet: a kernel without them cannot be judged by, or judges something else than was thought. */
export const REQUIRED_OPTIONS = ['BUG', 'PRINTK', 'KALLSYMS_ALL', 'DEBUG_INFO', 'HARDENED_USERCOPY'] as const;

/**
 * Reads `CONFIG_NAME=value` and `# CONFIG_NAME is not set`, one a line; other comments and empty lines are skipped.
 * @throws UsercopyError `bad-input` naming the line. There are no modules: `=m` is refused.
 */
export function parseFragment(text: string, where: string): ConfigFragment {
  const options = new Map<string, string>();
  const lines = text.split('\n');
  if (lines.length > FRAGMENT_LIMIT) throw badInput(where, `at most ${FRAGMENT_LIMIT} lines`, `${lines.length}`);
  for (const [index, raw] of lines.entries()) {
    const line = raw.trim();
    const [, unset] = UNSET.exec(line) ?? [];
    const [, name = unset, value = 'n'] = SET.exec(line) ?? [];
    if (name !== undefined) {
      // Where two values of a choice are asked for, Kconfig takes the later one.
      options.delete(name);
      options.set(name, value);
    } else if (line !== '' && !line.startsWith('#'))
      throw badInput(
        `${where}, line ${index + 1}`,
        "CONFIG_NAME=y, a number or a text in quotes, or '# CONFIG_NAME is not set'",
        `'${line.slice(0, 80)}'`,
      );
  }
  return options;
}

/** Fragments one after the other; the last one that names an option decides. */
export function mergeFragments(...fragments: readonly ConfigFragment[]): ConfigFragment {
  const merged = new Map<string, string>();
  for (const [name, value] of fragments.flatMap((fragment) => [...fragment])) {
    merged.delete(name);
    merged.set(name, value);
  }
  return merged;
}

/** As `KCONFIG_ALLCONFIG` takes it. */
export function printFragment(fragment: ConfigFragment): string {
  return [...fragment]
    .map(([name, value]) => (value === 'n' ? `# CONFIG_${name} is not set\n` : `CONFIG_${name}=${value}\n`))
    .join('');
}

/**
 * Options that Kconfig made something else of: what they depend on is not there, or the series does not know them. Sentences,
 * for `.config` as the build wrote it.
 */
export function unmetOptions(wanted: ConfigFragment, written: string): string[] {
  const config = new Map<string, string>();
  for (const line of written.split('\n')) {
    const [, name, value] = /^CONFIG_(\w+)=(.*)$/.exec(line) ?? [];
    if (name !== undefined && value !== undefined) config.set(name, value);
  }
  return [...wanted].flatMap(([name, value]) => {
    const found = config.get(name) ?? 'n';
    return found === value ? [] : [`CONFIG_${name} is ${found === 'n' ? 'not set' : found}, not ${value}`];
  });
}
