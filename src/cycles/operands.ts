/** Operand text as Capstone prints it, taken apart alike for every architecture. */
import type { CycleTraits, Operand } from '../../arch/cycles.js';

const SHIFT = /^(?:lsl|lsr|asr|ror|rrx|msl|[us]xt[bhwx])\b/;
/** Hexadecimal digits say so: `a0` is a register. */
const IMMEDIATE = /^#?-?(?:0x[0-9a-f]+|\d+)$/;
const NAME = /(?<![0-9a-z])%?[a-z][a-z0-9_]*/g;
const NOT_REGISTERS = new Set([
  'byte',
  'word',
  'dword',
  'qword',
  'xmmword',
  'ymmword',
  'ptr',
  'lsl',
  'lsr',
  'asr',
  'ror',
  'uxtw',
  'sxtw',
  'sxtx',
]);

/** `rax, qword ptr [rbx + 8]` → two operands. Commas inside brackets do not separate. */
export function parseOperands(text: string): Operand[] {
  const operands: Operand[] = [];
  let depth = 0;
  let start = 0;
  for (let at = 0; at <= text.length; at++) {
    const character = text[at] ?? ',';
    if ('[({'.includes(character)) depth++;
    else if ('])}'.includes(character)) depth--;
    else if (character === ',' && depth === 0) {
      const part = text.slice(start, at).trim();
      if (part !== '') operands.push(parseOperand(part));
      start = at + 1;
    }
  }
  return operands;
}

function parseOperand(text: string): Operand {
  if (IMMEDIATE.test(text)) return { kind: 'i', text, registers: [] };
  if (text.startsWith('{')) return { kind: 'l', text, registers: namesIn(expandRanges(text)) };
  if (SHIFT.test(text)) return { kind: 's', text, registers: namesIn(text) };
  const address = /[[(]([^\])]*)[\])]/.exec(text)?.[1];
  if (address !== undefined) {
    const registers = namesIn(address);
    return { kind: registers.length > 1 || address.includes('*') ? 'x' : 'm', text, registers };
  }
  return { kind: 'r', text, registers: namesIn(text).slice(0, 1) };
}

function namesIn(text: string): string[] {
  return (text.match(NAME) ?? []).filter((name) => !NOT_REGISTERS.has(name));
}

/** `{r4-r6}` → `{r4, r5, r6}` */
function expandRanges(text: string): string {
  return text.replace(/([a-z]+)(\d+)-\1(\d+)/g, (_, prefix: string, from: string, to: string) =>
    Array.from({ length: Number(to) - Number(from) + 1 }, (__, i) => `${prefix}${Number(from) + i}`).join(', '),
  );
}

/**
 * The words after a mnemonic in a class key: `r64,m64`, `x,x,s`. Two registers alike show as `=` (zeroing idioms), a list
 * with its length.
 */
export function shapeOf(operands: readonly Operand[], traits: CycleTraits): string {
  return operands
    .map((operand, index) => {
      switch (operand.kind) {
        case 'r': {
          const name = operand.registers[0] ?? operand.text;
          const kind = traits.registerKind?.(name) ?? name.replace(/[%\d]/g, '');
          const before = operands[index - 1];
          return before?.kind === 'r' && before.text === operand.text ? `${kind}=` : kind;
        }
        case 'l':
          return `l${operand.registers.length}`;
        case 's':
          return operand.text.replace(/ .*/s, '');
        case 'm':
        case 'x': {
          const width = /^([a-z]*word|byte) ptr/.exec(operand.text)?.[1] ?? '';
          return `${operand.kind}${width}${operand.text.endsWith('!') ? '!' : ''}`;
        }
        default:
          return operand.kind;
      }
    })
    .join(',');
}
