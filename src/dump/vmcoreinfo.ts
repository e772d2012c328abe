/** The VMCOREINFO note: what a kernel tells of itself to those who read its dumps (Documentation/admin-guide/kdump/vmcoreinfo.rst). */
import type { KernelNotes } from '../../arch/dump.js';
import { latin1 } from '../kernel/bytes.js';

const MAXIMUM_LINES = 1 << 16;

export class Vmcoreinfo implements KernelNotes {
  readonly #values = new Map<string, string>();

  /** Lines of `key=value`; others are passed over. */
  constructor(data: Uint8Array) {
    const text = latin1(data);
    for (const line of text.split('\n', MAXIMUM_LINES)) {
      const equals = line.indexOf('=');
      if (equals > 0) this.#values.set(line.slice(0, equals), line.slice(equals + 1).replace(/\0+$/, ''));
    }
  }

  get size(): number {
    return this.#values.size;
  }

  text(key: string): string | undefined {
    return this.#values.get(key);
  }

  symbol(name: string): bigint | undefined {
    const value = this.#values.get(`SYMBOL(${name})`);
    return value !== undefined && /^[0-9a-f]{1,16}$/i.test(value) ? BigInt(`0x${value}`) : undefined;
  }

  number(name: string): bigint | undefined {
    const value = this.#values.get(`NUMBER(${name})`);
    const [, sign, digits] = /^(-?)(0x[0-9a-f]{1,16}|[0-9]{1,20})$/i.exec(value ?? '') ?? [];
    if (digits === undefined) return undefined;
    return sign ? -BigInt(digits) : BigInt(digits);
  }

  /** Bytes that KASLR moved the kernel by; undefined when the note does not say. */
  get kernelOffset(): bigint | undefined {
    const value = this.#values.get('KERNELOFFSET');
    return value !== undefined && /^[0-9a-f]{1,16}$/i.test(value) ? BigInt(`0x${value}`) : undefined;
  }
}

/** The first such note of a file; null where it has none. */
export function vmcoreinfoOf(
  notes: readonly { readonly owner: string; readonly data: Uint8Array }[],
): Vmcoreinfo | null {
  const note = notes.find(({ owner }) => owner === 'VMCOREINFO');
  return note === undefined ? null : new Vmcoreinfo(note.data);
}
