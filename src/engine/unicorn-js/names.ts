/** Unicorn's names: constants that the module carries, and the registers of an architecture. */
import { distance } from 'fastest-levenshtein';
import { badInput, UsercopyError } from '../../errors.js';
import type { UnicornJsModule } from './module.js';

/** Unicorn's constants, which the module carries as members: `X86_REG_RAX`, `MODE_64`, `ERR_ARG`. */
export class Constants {
  readonly #values: ReadonlyMap<string, number>;

  constructor(module: UnicornJsModule) {
    this.#values = new Map(
      Object.entries(module).filter((entry): entry is [string, number] => typeof entry[1] === 'number'),
    );
  }

  get(name: string): number {
    const value = this.#values.get(name);
    if (value === undefined) throw badInput('unicorn.js', `the constant ${name}`, 'none: it is not version 2.1');
    return value;
  }

  /** Names behind a prefix, without it. */
  names(prefix: string): string[] {
    return [...this.#values.keys()].filter((name) => name.startsWith(prefix)).map((name) => name.slice(prefix.length));
  }

  /** @throws UsercopyError `bad-input` that lists what exists. */
  require(what: string, prefix: string, name: string, quantity: 'one of' | 'any of' = 'one of'): number {
    const value = this.#values.get(prefix + name);
    if (value !== undefined) return value;
    throw badInput(what, `${quantity} ${this.names(prefix).join(', ') || 'none'}`, name);
  }

  errorName(code: number): string {
    const found = this.names('ERR_').find((name) => this.#values.get(`ERR_${name}`) === code);
    return found ?? `ERROR_${code}`;
  }
}

/** Registers that Unicorn reads and writes as structures. */
const STRUCTURED: Readonly<Record<string, readonly string[]>> = {
  X86: ['gdtr', 'idtr', 'ldtr', 'tr', 'msr'],
  ARM: ['cp_reg'],
  ARM64: ['cp_reg'],
};

/** Registers of one architecture by name: lower case, without the prefix. */
export class RegisterIds {
  readonly #ids: ReadonlyMap<string, number>;
  readonly #structured: readonly string[];

  constructor(constants: Constants, arch: string) {
    const prefix = `${arch}_REG_`;
    const names = constants.names(prefix).filter((name) => name !== 'INVALID' && name !== 'ENDING');
    this.#ids = new Map(names.map((name) => [name.toLowerCase(), constants.get(prefix + name)]));
    this.#structured = STRUCTURED[arch] ?? [];
  }

  /** @throws UsercopyError `bad-input` that names near ones, `unsupported` for a structure. */
  find(name: string): number {
    const id = this.#ids.get(name);
    if (id !== undefined && !this.#structured.includes(name)) return id;
    if (id !== undefined) {
      throw new UsercopyError('unsupported', `register ${name} is a structure in Unicorn's interface, not a number`);
    }
    const wanted = name.slice(0, 32);
    const letters = (text: string): string => [...text].sort().join('');
    // Swapped letters are the likeliest mistake.
    const far = (known: string): number => distance(wanted, known) - (letters(known) === letters(wanted) ? 1 : 0);
    const near = [...this.#ids.keys()].sort((a, b) => far(a) - far(b) || (a < b ? -1 : 1)).slice(0, 6);
    throw badInput('register', `a name as Unicorn spells it (near: ${near.join(', ')})`, wanted);
  }
}
