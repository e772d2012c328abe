/** A scenario → YAML, as a person would write it. */

import { stringify } from 'yaml';
import { hex } from '../errors.js';
import { anArray, anObject, requireValue } from '../options.js';
import type { Scenario } from './format.js';

/** Bigints become hexadecimal strings: no reader of YAML or JSON then loses digits. */
function plain(value: unknown): unknown {
  if (typeof value === 'bigint') return hex(value);
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, part]) => part !== undefined)
      .map(([name, part]) => [name, plain(part)]),
  );
}

/** The scenario as YAML; `comment` lines stand before it. What `parseScenario()` reads back is the same. */
export function writeScenario(scenario: Scenario, comment: readonly string[] = []): string {
  requireValue('writeScenario: scenario', scenario, anObject);
  requireValue('writeScenario: comment', comment, anArray);
  const head = comment.map((line) => `${`# ${line}`.trimEnd()}\n`).join('');
  return head + stringify(plain(scenario), { lineWidth: 0, aliasDuplicateObjects: false, version: '1.2' });
}
