/**
 * Suppression lists: violations that are known and shall not be reported again. What a rule silences is counted, so that
 * nothing disappears unseen.
 */

import { badInput } from '../errors.js';
import { aText, requireValue } from '../options.js';

/** What a rule looks at. */
export interface SuppressionFacts {
  /** Symbol of the function that the copy returns to; null where no symbol covers it. */
  readonly caller: string | null;
  /** Slab cache; null for anything else. */
  readonly cache: string | null;
  /** Verdict: `slab object`, `process stack`, `vmalloc, no area`, …; `unreadable` where the copy could not be judged. */
  readonly region: string;
  readonly direction: string;
  /** The hooked entry point. */
  readonly entry: string;
}

/** Silences violations that match every part it names; `*` stands for any characters. At least one part. */
export type Suppression = { readonly [Part in keyof SuppressionFacts]?: string };

const PARTS: readonly (keyof SuppressionFacts)[] = ['caller', 'cache', 'region', 'direction', 'entry'];

/** A suppression list's rule, and how many violations it has silenced. */
export interface SuppressionCount {
  readonly rule: Suppression;
  readonly count: number;
}

/** Whether `text` is what `glob` stands for; the time is that of both lengths multiplied, however many stars there are. */
export function matchesGlob(glob: string, text: string): boolean {
  let at = 0;
  let star = -1;
  let resume = 0;
  let place = 0;
  while (place < text.length) {
    if (glob[at] === '*') {
      star = at++;
      resume = place;
    } else if (at < glob.length && glob[at] === text[place]) {
      at++;
      place++;
    } else if (star >= 0) {
      // The last star takes one more character.
      at = star + 1;
      place = ++resume;
    } else return false;
  }
  while (glob[at] === '*') at++;
  return at === glob.length;
}

interface CompiledRule {
  readonly rule: Suppression;
  readonly globs: readonly (readonly [keyof SuppressionFacts, string])[];
  count: number;
}

const isPart = (name: string): name is keyof SuppressionFacts => PARTS.some((part) => part === name);

function compile(rule: Suppression): CompiledRule {
  const named = Object.keys(rule);
  const unknown = named.find((part) => !isPart(part));
  if (unknown !== undefined || named.length === 0) {
    throw badInput('suppression', `parts among ${PARTS.join(', ')}`, unknown ?? 'none');
  }
  const globs = PARTS.flatMap((part) => {
    const glob = rule[part];
    return glob === undefined ? [] : [[part, glob] as const];
  });
  return { rule, globs, count: 0 };
}

/** Rules in order; the first that matches counts. */
export class SuppressionList {
  readonly #rules: readonly CompiledRule[];

  /** @throws UsercopyError `bad-input` for a rule without parts or with an unknown one. */
  constructor(rules: readonly Suppression[]) {
    this.#rules = rules.map(compile);
  }

  /** Whether a rule silences this violation; it is counted then. */
  silences(facts: SuppressionFacts): boolean {
    const match = this.#rules.find(({ globs }) => globs.every(([part, glob]) => matchesGlob(glob, facts[part] ?? '')));
    if (match) match.count++;
    return match !== undefined;
  }

  counts(): SuppressionCount[] {
    return this.#rules.map(({ rule, count }) => ({ rule, count }));
  }
}

/**
 * Reads a suppression list: one rule a line, `part=value` in any order, `#` begins a comment.
 *
 *     caller=proc_* cache=task_struct
 *     region="process stack" direction=to_user   # known
 *
 * @throws UsercopyError `bad-input` with file and line.
 */
export function parseSuppressions(text: string, path = 'suppressions'): Suppression[] {
  requireValue('parseSuppressions: text', text, aText);
  requireValue('parseSuppressions: path', path, aText);
  return text.split('\n').flatMap((line, index) => {
    const rule = line.replace(/(^|\s)#.*$/, '').trim();
    if (rule === '') return [];
    const parts: { -readonly [Part in keyof SuppressionFacts]?: string } = {};
    // Double quotes keep blanks together.
    const word = /([a-z]+)=(?:"([^"]*)"|([^\s"]+))(?:\s+|$)/y;
    while (word.lastIndex < rule.length) {
      const match = word.exec(rule);
      const name = match?.[1];
      if (!match || name === undefined || !isPart(name)) {
        throw badInput(`${path}:${index + 1}`, `words like caller=NAME, of ${PARTS.join(', ')}`, rule.slice(0, 80));
      }
      parts[name] = match[2] ?? match[3] ?? '';
    }
    return [parts];
  });
}
