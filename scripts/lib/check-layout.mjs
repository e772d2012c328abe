/**
 * A transform of the AssemblyScript compiler: for every @unmanaged structure of assembly/context.ts an exported
 * enumeration of its fields' offsets (`Context` becomes `ContextLayout`), and its size as `BYTES`. So each field is named
 * once, and TypeScript finds it by its name in the module that it works with.
 */
import { NodeKind } from 'assemblyscript/dist/assemblyscript.js';
import { Transform } from 'assemblyscript/transform';

const STRUCTURES = 'assembly/context.ts';

export default class CheckLayout extends Transform {
  afterParse(parser) {
    const source = parser.sources.find(({ normalizedPath }) => normalizedPath === STRUCTURES);
    const structures = source.statements.filter(
      ({ kind, decorators }) =>
        kind === NodeKind.ClassDeclaration && decorators?.some(({ name }) => name.text === 'unmanaged'),
    );
    if (structures.length === 0) throw new Error(`${STRUCTURES}: expected @unmanaged structures, found none`);
    parser.parseFile(layoutOf(structures), 'assembly/layout.ts', true);
  }
}

function layoutOf(structures) {
  const enumerations = structures.map(({ name: { text: name }, members }) => {
    const fields = members
      .filter(({ kind }) => kind === NodeKind.FieldDeclaration)
      .map(({ name: { text: field } }) => `${field} = offsetof<${name}>('${field}'),`);
    return `export enum ${name}Layout { ${fields.join(' ')} BYTES = offsetof<${name}>() }`;
  });
  const names = structures.map(({ name }) => name.text);
  return `import { ${names.join(', ')} } from './context';\n${enumerations.join('\n')}\n`;
}
