/** Reads modules with a real parser: what each imports, which words it says, which globals it takes for granted. */
import { posix } from 'node:path';
import { parseSync } from 'vite';

export interface Import {
  /** Path from the project's root; or the name of a package or of a module of Node.js; or `COMPUTED`. */
  readonly to: string;
  /** `type`: gone when compiled. With verbatimModuleSyntax only `import type` is. */
  readonly kind: 'value' | 'type';
}

/** An `import()` of something that only running the program tells. */
export const COMPUTED = '(computed)';

export interface Word {
  readonly line: number;
  readonly text: string;
  readonly isString: boolean;
}

export interface Module {
  readonly path: string;
  readonly imports: readonly Import[];
  /** Identifiers, strings and regular expressions. */
  readonly words: readonly Word[];
  /** Identifiers that stand for values, not as the name of a member. */
  readonly values: ReadonlySet<string>;
  /** Lines of `as` (but `as const`) and of `!` behind a value, with no comment on the line or the one before. */
  readonly bareAssertions: readonly number[];
}

export type House = ReadonlyMap<string, Module>;

/** @param sources text by path from the root */
export function readHouse(sources: ReadonlyMap<string, string>): House {
  return new Map([...sources].map(([path, source]) => [path, readModule(path, source, sources)]));
}

function readModule(path: string, source: string, sources: ReadonlyMap<string, string>): Module {
  const { module, program, comments } = parseSync(path, source);
  const lineAt = (offset: number): number => source.slice(0, offset).split('\n').length;
  const explained = new Set(comments.flatMap(({ start, end }) => [lineAt(start), lineAt(end), lineAt(end) + 1]));
  const bareAssertions: number[] = [];
  const imports: Import[] = [];
  const add = (name: string, kind: Import['kind']): void => {
    imports.push({ to: name.startsWith('.') ? resolve(path, name, sources) : name, kind });
  };
  const kindAt = (start: number): Import['kind'] =>
    /^(import|export)\s+type\b/.test(source.slice(start, start + 40)) ? 'type' : 'value';
  for (const { moduleRequest, start } of module.staticImports) add(moduleRequest.value, kindAt(start));
  for (const { entries, start } of module.staticExports) {
    const [name] = entries.flatMap(({ moduleRequest }) => moduleRequest?.value ?? []);
    if (name !== undefined) add(name, kindAt(start));
  }
  const words: Word[] = [];
  const values = new Set<string>();
  walk({ ...program }, (node, isType) => {
    const assertion = assertionAt(node, source);
    if (assertion !== null && !explained.has(lineAt(assertion))) bareAssertions.push(lineAt(assertion));
    const say = (text: string, isString: boolean): void => {
      words.push({ line: lineAt(node.start), text, isString });
    };
    if (node.type === 'Identifier' || node.type === 'PrivateIdentifier') {
      say(String(node['name']), false);
      if (!isType) values.add(String(node['name']));
    } else if (node.type === 'Literal' && typeof node['value'] === 'string') say(node['value'], true);
    else if (node.type === 'Literal' && node['regex']) say((node['regex'] as { pattern: string }).pattern, true);
    else if (node.type === 'TemplateElement') say((node['value'] as { raw: string }).raw, true);
    else if (node.type === 'ImportExpression') {
      const { value } = node['source'] as { value?: unknown };
      add(typeof value === 'string' ? value : COMPUTED, 'value');
    } else if (node.type === 'TSImportType') add(String((node['source'] as { value: unknown }).value), 'type');
  });
  return { path, imports, words, values, bareAssertions };
}

/** Where a node tells the compiler what it cannot know; null where it does not. */
function assertionAt(node: Node, source: string): number | null {
  if (node.type === 'TSNonNullExpression') return node.end - 1;
  if (node.type !== 'TSAsExpression') return null;
  const type = node['typeAnnotation'];
  return isNode(type) && source.slice(type.start, type.end) !== 'const' ? type.start : null;
}

function resolve(from: string, name: string, sources: ReadonlyMap<string, string>): string {
  const path = posix.join(posix.dirname(from), name);
  const candidates = [path.replace(/\.js$/, '.ts'), path.replace(/\.js$/, '.tsx'), `${path}.ts`, path];
  return candidates.find((candidate) => sources.has(candidate)) ?? path;
}

interface Node {
  readonly type: string;
  readonly start: number;
  readonly end: number;
  readonly [key: string]: unknown;
}

const isNode = (value: unknown): value is Node =>
  typeof value === 'object' && value !== null && 'type' in value && 'start' in value;

/** Nodes of TypeScript that hold a value to run, each in one member. */
const VALUE_OF: Readonly<Record<string, string>> = {
  TSAsExpression: 'expression',
  TSSatisfiesExpression: 'expression',
  TSNonNullExpression: 'expression',
  TSParameterProperty: 'parameter',
};

/** Names of members: no values of their own unless they are computed. */
const MEMBER_NAME: Readonly<Record<string, string>> = {
  MemberExpression: 'property',
  Property: 'key',
  MethodDefinition: 'key',
  PropertyDefinition: 'key',
};

function walk(node: Node, visit: (node: Node, isType: boolean) => void, isType = false): void {
  visit(node, isType);
  const value = VALUE_OF[node.type];
  const name = node['computed'] === true ? undefined : MEMBER_NAME[node.type];
  for (const [key, child] of Object.entries(node)) {
    const below =
      isType || key === name || (node.type.startsWith('TS') && node.type !== 'TSEnumDeclaration' && key !== value);
    for (const one of Array.isArray(child) ? child : [child]) if (isNode(one)) walk(one, visit, below);
  }
}
