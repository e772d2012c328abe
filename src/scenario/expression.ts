/** The small language of a scenario's addresses and calls: `cred + 16`, `do_copy(user, lm_alias(_stext), 64, 1)`. */
import { badInput, type UsercopyError } from '../errors.js';
import type { Word } from './format.js';

const LARGEST = (1n << 64n) - 1n;
/** More than anybody writes, less than what makes a parser deep. */
const LONGEST = 4096;
const MOST_NESTED = 16;

export type Term =
  | { readonly kind: 'number'; readonly value: bigint }
  /** C text, put into guest memory. */
  | { readonly kind: 'text'; readonly value: string }
  /** A name, or its first byte after (`end`). */
  | { readonly kind: 'name'; readonly name: string; readonly end: boolean }
  | { readonly kind: 'call'; readonly name: string; readonly arguments: readonly Term[] }
  | { readonly kind: 'sum'; readonly terms: readonly { readonly minus: boolean; readonly term: Term }[] };

/** @throws UsercopyError `bad-input` unless it is an unsigned number of at most 64 bits; `where` names it. */
export function wordOf(value: Word, where: string): bigint {
  const word =
    typeof value === 'bigint'
      ? value
      : typeof value === 'number'
        ? Number.isSafeInteger(value)
          ? BigInt(value)
          : -1n
        : /^(0x[0-9a-f]{1,16}|[0-9]{1,20})$/i.test(value)
          ? BigInt(value)
          : -1n;
  if (word < 0n || word > LARGEST) {
    throw badInput(where, 'an unsigned 64-bit number, 0x… or decimal', `'${value}'`);
  }
  return word;
}

const TOKEN = /\s*(?:(0x[0-9a-f]+|[0-9]+)(?![\w])|([A-Za-z_][\w.$]*)|("(?:[^"\\]|\\.)*")|([-+(),]))/iy;

class Parser {
  readonly #text: string;
  readonly #where: string;
  #at = 0;
  #token: RegExpExecArray | null = null;
  #depth = 0;

  constructor(text: string, where: string) {
    this.#text = text;
    this.#where = where;
    if (text.length > LONGEST) {
      throw badInput(where, `an expression of at most ${LONGEST} characters`, `${text.length}`);
    }
    this.#advance();
  }

  whole(): Term {
    const term = this.#sum();
    if (this.#token) throw this.#unexpected('the end, + or -');
    return term;
  }

  #advance(): void {
    if (this.#text.slice(this.#at).trim() === '') {
      this.#token = null;
      this.#at = this.#text.length;
      return;
    }
    TOKEN.lastIndex = this.#at;
    this.#token = TOKEN.exec(this.#text);
    if (!this.#token) throw this.#unexpected('a name, a number, + or -');
    this.#at = TOKEN.lastIndex;
  }

  #unexpected(expected: string): UsercopyError {
    const found = this.#token ? `'${this.#token[0].trim()}'` : this.#text.slice(this.#at).trim() || 'the end';
    return badInput(`${this.#where}: '${this.#text}'`, expected, found);
  }

  #sum(): Term {
    if (++this.#depth > MOST_NESTED) throw badInput(this.#where, `at most ${MOST_NESTED} nested calls`, 'more');
    const first = { minus: this.#takeSign() === '-', term: this.#atom() };
    const terms = [first];
    for (let sign = this.#takeSign(); sign !== null; sign = this.#takeSign()) {
      terms.push({ minus: sign === '-', term: this.#atom() });
    }
    this.#depth--;
    return terms.length === 1 && !first.minus ? first.term : { kind: 'sum', terms };
  }

  #takeSign(): '+' | '-' | null {
    const sign = this.#token?.[4];
    if (sign !== '+' && sign !== '-') return null;
    this.#advance();
    return sign;
  }

  #atom(): Term {
    const token = this.#token;
    const [, number, name, text] = token ?? [];
    if (number !== undefined) {
      this.#advance();
      return { kind: 'number', value: wordOf(number, this.#where) };
    }
    if (text !== undefined) {
      this.#advance();
      return { kind: 'text', value: text.slice(1, -1).replace(/\\(.)/g, '$1') };
    }
    if (name === undefined) throw this.#unexpected('a name or a number');
    this.#advance();
    if (this.#token?.[4] === '(') return { kind: 'call', name, arguments: this.#arguments() };
    const end = name.endsWith('.end');
    return { kind: 'name', name: name.replace(/\.(start|end)$/, ''), end };
  }

  #arguments(): Term[] {
    this.#advance();
    const list: Term[] = [];
    while (this.#token?.[4] !== ')') {
      list.push(this.#sum());
      if (this.#token?.[4] === ',') this.#advance();
      else if (this.#token?.[4] !== ')') throw this.#unexpected("',' or ')'");
    }
    this.#advance();
    return list;
  }
}

/** @throws UsercopyError `bad-input` that quotes the text and says what was expected where. */
export function parseExpression(value: Word, where: string): Term {
  if (typeof value !== 'string') return { kind: 'number', value: wordOf(value, where) };
  return new Parser(value, where).whole();
}

export interface Call {
  readonly symbol: string;
  readonly arguments: readonly Term[];
}

/** Reads `symbol(argument, …)`. @throws UsercopyError `bad-input` when it is something else. */
export function parseCall(text: string, where: string): Call {
  const term = parseExpression(text, where);
  if (term.kind === 'call') return { symbol: term.name, arguments: term.arguments };
  throw badInput(where, 'a call: symbol(argument, …)', `'${text}'`);
}

/** What names stand for. */
export interface Names {
  /** First byte, and first byte after where that is known; undefined: no such name. */
  find(name: string): { readonly start: bigint; readonly end: bigint | null } | undefined;
  /** Address of a C string with these characters. */
  text(value: string): bigint;
  /** The linear map's address of a byte of the kernel image. */
  linearAlias(address: bigint): bigint;
}

/** The value as an unsigned word of `bits`. @throws UsercopyError `bad-input` for a name that nothing has. */
export function evaluate(term: Term, names: Names, bits: number, where: string): bigint {
  switch (term.kind) {
    case 'number':
      return BigInt.asUintN(bits, term.value);
    case 'text':
      return names.text(term.value);
    case 'name': {
      const found = names.find(term.name);
      if (!found) {
        throw badInput(where, "an object, stack, sp, user, or a kernel's symbol", `'${term.name}'`);
      }
      if (!term.end) return found.start;
      if (found.end === null) throw badInput(where, `an object whose end is known`, `'${term.name}'`);
      return found.end;
    }
    case 'call': {
      const [argument] = term.arguments;
      if (term.name !== 'lm_alias' || argument === undefined || term.arguments.length !== 1) {
        throw badInput(where, 'no function in an address but lm_alias(address)', `${term.name}(…)`);
      }
      return names.linearAlias(evaluate(argument, names, bits, where));
    }
    case 'sum': {
      const sum = term.terms.reduce((total, part) => {
        const value = evaluate(part.term, names, bits, where);
        return part.minus ? total - value : total + value;
      }, 0n);
      return BigInt.asUintN(bits, sum);
    }
  }
}
