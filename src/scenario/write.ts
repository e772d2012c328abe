/** A scenario → YAML, as a person would write it. */

import { stringify } from 'yaml';
import { anArray, anObject, requireValue } from '../options.js';
import type { Scenario } from './format.js';
import { plain } from './plain.js';

/** The scenario as YAML; `comment` lines stand before it. What `parseScenario()` reads back is the same. */
export function writeScenario(scenario: Scenario, comment: readonly string[] = []): string {
  requireValue('writeScenario: scenario', scenario, anObject);
  requireValue('writeScenario: comment', comment, anArray);
  const head = comment.map((line) => `${`# ${line}`.trimEnd()}\n`).join('');
  return head + stringify(plain(scenario), { lineWidth: 0, aliasDuplicateObjects: false, version: '1.2' });
}
