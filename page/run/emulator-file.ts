/** The files that a person gives for running: an emulator, and guests that the page has not got. */

import { variants } from '../../arch/index.js';
import { badInput, UsercopyError } from '../../src/errors.js';
import { parseElf } from '../../src/kernel/elf.js';

/** What was given so far; kept while the page is open, never stored. */
export interface Given {
  readonly script: { readonly name: string; readonly text: string } | null;
  readonly wasm: { readonly name: string; readonly bytes: Uint8Array } | null;
  /** By variant. */
  readonly guests: Readonly<Record<string, Uint8Array>>;
}

export const NOTHING_GIVEN: Given = { script: null, wasm: null, guests: {} };

/** A build for all architectures has some 30 MB. */
const LARGEST_EMULATOR = 128 << 20;
const LARGEST_GUEST = 4 << 20;
const WASM = [0x00, 0x61, 0x73, 0x6d];
const ELF = [0x7f, 0x45, 0x4c, 0x46];

/** Puts a file to what there is. @throws UsercopyError `bad-input` in a sentence for a file that is none of them. */
export async function withFile(given: Given, file: File): Promise<Given> {
  if (file.size > LARGEST_EMULATOR) {
    throw badInput(file.name, `at most ${LARGEST_EMULATOR >> 20} MiB`, `${file.size >> 20} MiB`);
  }
  const bytes = new Uint8Array(await file.arrayBuffer());
  const begins = (magic: readonly number[]): boolean => magic.every((byte, index) => bytes[index] === byte);
  if (begins(WASM)) return { ...given, wasm: { name: file.name, bytes } };
  if (begins(ELF)) return { ...given, guests: { ...given.guests, [guestVariant(bytes, file.name)]: bytes } };
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw badInput(file.name, 'unicorn.js, its .wasm file, or the ELF file of a built-in guest', 'other bytes');
  }
  if (text.trim() === '') throw badInput(file.name, 'unicorn.js', 'an empty file');
  return { ...given, script: { name: file.name, text } };
}

function guestVariant(bytes: Uint8Array, name: string): string {
  const expected = 'the ELF file of a built-in guest (guests/elf of the package)';
  if (bytes.length > LARGEST_GUEST) throw badInput(name, expected, `${bytes.length >> 20} MiB`);
  try {
    const elf = parseElf(bytes, name);
    const found = variants.find(
      ({ elfMachine, bits, endian }) => elfMachine === elf.machine && bits === elf.bits && endian === elf.endian,
    );
    if (found !== undefined) return found.name;
  } catch (error) {
    if (!(error instanceof UsercopyError) && !(error instanceof RangeError)) throw error;
  }
  throw badInput(name, expected, 'another ELF file');
}

/** What is there once files were given together. A script that takes the place of another one does not get the other one's .wasm. */
export function besides(before: Given, { script, wasm, guests }: Given): Given {
  const isOther = script !== null && before.script !== null;
  return {
    script: script ?? before.script,
    wasm: wasm ?? (isOther ? null : before.wasm),
    guests: { ...before.guests, ...guests },
  };
}
