/** Entries of `__ksymtab` written by hand, as include/linux/export.h and include/asm-generic/export.h say. */
import { expect, it } from 'vitest';
import { gateOf } from '../../src/introspect/gate.js';
import { exportedVariables, withSymbols } from '../../src/kernel/added-symbols.js';
import { bytesOf } from '../../src/kernel/bytes.js';
import { Words } from '../../src/kernel/words.js';
import { BASE, kernelWith } from '../introspect/memory.js';

it.each([
  ['distances', true],
  ['addresses', false],
])('the key that callers of the check ask is found by its export, in %s', (_, relative) => {
  const [entry, name, key] = [0x100, 0x201, 0x300];
  const bytes = new Uint8Array(0x400);
  const kernel = kernelWith(bytes, { bits: 32 });
  const words = new Words(bytes, kernel);
  bytes.set(bytesOf('validate_usercopy_range'), name);
  for (const [at, target] of [
    [entry, key],
    [entry + 4, name],
  ] as const)
    words.setUint32(at, relative ? target - at : Number(BASE) + target);
  const segment = { address: BASE, physical: 0n, bytes, size: BigInt(bytes.length) };
  const known = withSymbols(kernel, exportedVariables({ ...kernel, segments: [segment] }));
  expect(gateOf(known)).toMatchObject({ address: BASE + BigInt(key), askedBy: 'callers', closed: true });
  words.setUint32(key, 1);
  expect(gateOf(known)).toMatchObject({ closed: false });
});
