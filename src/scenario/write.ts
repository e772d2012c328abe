/** A scenario → YAML, as a person would write it. */

import { stringify } from 'yaml';
import { anArray, anObject, requireValue } from '../options.js';
import { SCENARIO_MARK } from '../report/own-output.js';
import type { Scenario } from './format.js';
import { plain } from './plain.js';

/** The scenario as YAML; `comment` lines stand before it, behind a mark by which nobody takes them for a log. What `parseScenario()` reads back is the same. */
export function writeScenario(scenario: Scenario, comment: readonly string[] = []): string {
  requireValue('writeScenario: scenario', scenario, anObject);
  requireValue('writeScenario: comment', comment, anArray);
  const head = comment.map((line) => `${`# ${line}`.trimEnd()}\n`).join('');
  const yaml = stringify(plain(scenario), { lineWidth: 0, aliasDuplicateObjects: false, version: '1.2' });
  return `${SCENARIO_MARK}\n${head}${yaml}`;
}
