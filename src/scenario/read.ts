/** Text of YAML or JSON → a scenario, checked against the published schema; every error says where. */

import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { Ajv, type ErrorObject, type ValidateFunction } from 'ajv';
import { distance } from 'fastest-levenshtein';
import { isAlias, isMap, isNode, isScalar, isSeq, LineCounter, type Node, parseDocument, type Scalar } from 'yaml';
import { badInput, hex, type UsercopyError } from '../errors.js';
import { readWhole } from '../image/files.js';
import { anObject, aText, requireValue } from '../options.js';
import { packageFile } from '../paths.js';
import type { Scenario } from './format.js';
import { type Path, Positions, pointerOf } from './positions.js';
import { writeScenario } from './write.js';

/** Bytes; ten thousand steps fit. */
const LARGEST_FILE = 1 << 20;
const MOST_NESTED = 16;

/** Where the JSON schema of scenarios lies, for editors. */
export const schemaPath = (): string => packageFile('schema/scenario.schema.json');

export interface ScenarioFile {
  readonly scenario: Scenario;
  readonly positions: Positions;
  /** Where relative paths in it start. */
  readonly directory: string;
}

/** @throws UsercopyError `bad-input` with file, line and column when it is not a scenario. */
export function readScenario(path: string): ScenarioFile {
  requireValue('readScenario: path', path, aText);
  return parseScenario(readText(path), path, dirname(resolve(path)));
}

function readText(path: string): string {
  const bytes = readWhole(path, LARGEST_FILE);
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw badInput(path, 'text in UTF-8', 'other bytes');
  }
}

/** A scenario that was put together in a program; it is checked like one from a file. `name` is what errors call it. */
export function scenarioInMemory(
  scenario: Scenario,
  name = scenario?.name ?? 'scenario',
  directory = '.',
): ScenarioFile {
  requireValue('scenarioInMemory: scenario', scenario, anObject);
  return parse(writeScenario(scenario), new Positions(name, false), directory);
}

/** `name` is what errors call the text; `directory` is where relative paths in it start. */
export function parseScenario(text: string, name = 'scenario', directory = '.'): ScenarioFile {
  requireValue('parseScenario: text', text, aText);
  requireValue('parseScenario: name', name, aText);
  requireValue('parseScenario: directory', directory, aText);
  if (text.length > LARGEST_FILE) {
    throw badInput(name, `a scenario of at most ${LARGEST_FILE} characters`, String(text.length));
  }
  return parse(text, new Positions(name), directory);
}

function parse(text: string, positions: Positions, directory: string): ScenarioFile {
  const lines = new LineCounter();
  const at = (offset: number): string => {
    const { line, col } = lines.linePos(offset);
    return `${positions.file}:${Math.max(line, 1)}:${Math.max(col, 1)}`;
  };
  const document = parseDocument(text, {
    lineCounter: lines,
    prettyErrors: false,
    intAsBigInt: true,
    // Quadratic in the library; `plainValue` looks at every key anyway.
    uniqueKeys: false,
  });
  const [flaw] = document.errors;
  if (flaw) {
    const isDeep = flaw.message.includes('call stack');
    const found = isDeep ? 'more' : flaw.message.replace(/\s+/g, ' ').slice(0, 200);
    throw badInput(at(flaw.pos[0]), isDeep ? 'at most 16 levels of nesting' : 'YAML or JSON', found);
  }
  const [warning] = document.warnings;
  if (warning) throw badInput(at(warning.pos[0]), 'plain YAML or JSON', warning.message.slice(0, 200));
  const value = plainValue(document.contents, [], positions, (offset) => {
    const { line, col } = lines.linePos(offset);
    return { line, column: col };
  });
  validate(value, positions);
  // The schema was asked.
  return { scenario: value as Scenario, positions, directory };
}

type Locate = (offset: number) => { line: number; column: number };

/** Below a node there are nodes; the library's type says unknown. */
const nodeOf = (value: unknown): Node | null => (isNode(value) ? value : null);

/** The tree without YAML's own: no anchors, tags or merges; integers beyond 2^53 as hexadecimal strings. */
function plainValue(node: Node | null, path: Path, positions: Positions, locate: Locate): unknown {
  if (node?.range) positions.setValue(path, locate(node.range[0]));
  if (node === null) return null;
  if (path.length > MOST_NESTED) throw positions.refuse(path, `at most ${MOST_NESTED} levels of nesting`, 'more');
  if (isAlias(node) || ('anchor' in node && node.anchor)) {
    throw positions.refuse(path, 'values written out', 'an anchor or alias of YAML');
  }
  if (node.tag?.startsWith('!')) throw positions.refuse(path, 'a value without a tag', node.tag.slice(0, 40));
  if (isSeq(node)) {
    return node.items.map((item, index) => plainValue(nodeOf(item), [...path, index], positions, locate));
  }
  if (isScalar(node)) return plainScalar(node);
  if (!isMap(node)) throw positions.refuse(path, 'a value', 'something else');
  const object: Record<string, unknown> = {};
  for (const { key, value } of node.items) {
    const name = isScalar(key) ? String(key.value) : '';
    const range = nodeOf(key)?.range;
    const place = [...path, name];
    if (range) positions.setName(place, locate(range[0]));
    if (!isScalar(key) || name === '__proto__') throw positions.refuseName(place, 'a name', 'another key');
    if (Object.hasOwn(object, name)) throw positions.refuseName(place, 'each name once', `'${name}' again`);
    object[name] = plainValue(nodeOf(value), place, positions, locate);
  }
  return object;
}

/** Nothing in a scenario is a fraction: what looks like one is a version, `5.0`, and stays as it was written. */
function plainScalar({ value, source }: Scalar): unknown {
  if (typeof value === 'number') return source ?? String(value);
  if (typeof value !== 'bigint') return value;
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) return hex(value);
  return value < BigInt(Number.MIN_SAFE_INTEGER) ? Number.MIN_SAFE_INTEGER : Number(value);
}

let compiled: ValidateFunction | null = null;

function validator(): ValidateFunction {
  compiled ??= new Ajv({ verbose: true, allowUnionTypes: true, strict: true, strictTypes: false }).compile(
    JSON.parse(readFileSync(schemaPath(), 'utf8')),
  );
  return compiled;
}

function validate(value: unknown, positions: Positions): void {
  const check = validator();
  if (check(value)) return;
  // Of a name that is refused Ajv tells first what is wrong with it, then that it is refused.
  const error = check.errors?.find(({ keyword }) => keyword === 'propertyNames') ?? check.errors?.[0];
  if (error) throw errorOf(error, positions);
}

interface Described {
  readonly title?: string;
  readonly type?: string | readonly string[];
  readonly properties?: Readonly<Record<string, unknown>>;
}

const listed = (names: readonly unknown[]): string => names.map((name) => `${name}`).join(', ');

/** A value as a person wrote it, cut short. */
function shown(value: unknown): string {
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object' && value !== null) return 'a map';
  if (value === null) return 'nothing';
  const text = typeof value === 'string' ? `'${value}'` : String(value);
  return text.length > 80 ? `${text.slice(0, 77)}…` : text;
}

/** The name that was meant, when one is at most a third away. */
function hintFor(name: string, known: readonly string[]): string {
  if (name.length > 64) return '';
  const [best] = known
    .map((candidate) => ({ candidate, edits: distance(name.toLowerCase(), candidate.toLowerCase()) }))
    .sort((left, right) => left.edits - right.edits);
  return best && best.edits <= Math.max(1, name.length / 3) ? ` (did you mean '${best.candidate}'?)` : '';
}

const KINDS: Readonly<Record<string, string>> = {
  object: 'a map',
  array: 'a list',
  string: 'text',
  integer: 'a whole number',
  number: 'a number',
  boolean: 'true or false',
  null: 'null',
};

/** One sentence out of Ajv's findings, at the place in the file. */
function errorOf(error: ErrorObject, positions: Positions): UsercopyError {
  const { instancePath: path, keyword, data } = error;
  const params: Readonly<Record<string, unknown>> = error.params;
  // Ajv gives the schema as it was compiled: our own.
  const schema = (error.parentSchema ?? {}) as Described;
  const field = path === '' ? '' : ` in ${path.slice(1).replace(/~1/g, '/').replace(/~0/g, '~').split('/').join('.')}`;
  switch (keyword) {
    case 'additionalProperties': {
      const name = String(params['additionalProperty']);
      const known = Object.keys(schema.properties ?? {}).filter((key) => key !== '$schema');
      return positions.refuseName(
        path + pointerOf([name]),
        `one of ${listed(known)}${field}`,
        `${shown(name)}${hintFor(name, known)}`,
      );
    }
    case 'required':
      return positions.refuse(path, `'${params['missingProperty']}'${field}`, 'none');
    case 'propertyNames':
      return positions.refuseName(
        path + pointerOf([String(params['propertyName'])]),
        'a name of letters, digits and _',
        shown(params['propertyName']),
      );
    case 'enum':
      return positions.refuse(path, `one of ${listed([params['allowedValues']].flat())}${field}`, shown(data));
    case 'minProperties':
    case 'maxProperties':
      return positions.refuse(
        path,
        schema.properties
          ? `one of ${listed(Object.keys(schema.properties))}${field}`
          : `at most ${params['limit']}${field}`,
        keyword === 'minProperties' ? 'none' : 'more than one',
      );
    case 'minimum':
    case 'maximum':
      return positions.refuse(
        path,
        schema.title ?? `a number ${params['comparison']} ${params['limit']}${field}`,
        shown(data),
      );
    case 'minItems':
    case 'maxItems':
    case 'minLength':
    case 'maxLength': {
      const most = keyword.startsWith('max') ? 'at most' : 'at least';
      const unit = keyword.endsWith('Items') ? 'of them' : 'characters';
      const length = typeof data === 'string' || Array.isArray(data) ? data.length : 0;
      return positions.refuse(path, `${most} ${params['limit']} ${unit}${field}`, String(length));
    }
    default: {
      const types = [schema.type ?? []].flat().map((type) => KINDS[type] ?? type);
      return positions.refuse(path, `${schema.title ?? types.join(' or ')}${field}`, shown(data));
    }
  }
}
