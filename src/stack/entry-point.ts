/** Addresses that follow from a kernel and its architecture's conventions. */
import type { CurrentTask, Variant } from '../../arch/driver.js';
import type { Kernel } from '../kernel/kernel.js';

const PROLOGUE_BYTES = 8;

/** Where every call of a function passes, from inside the kernel or outside; undefined when there is no such symbol. */
export function entryPointOf(kernel: Kernel, variant: Variant, symbol: string): bigint | undefined {
  const told = kernel.symbols.address(symbol);
  if (told === undefined) return undefined;
  const address = withoutState(variant, told);
  if (!variant.entryOffset) return address;
  const code = kernel.read(address, PROLOGUE_BYTES);
  return code === undefined ? address : address + variant.entryOffset(code);
}

/** Where the code lies that a function's address leads to. */
export const withoutState = ({ stateBits = 0n }: Variant, address: bigint): bigint => address & ~stateBits;

/** What is added to the base to find the word that holds `current`; undefined when the kernel lacks its symbol. */
export function currentOffsetOf(kernel: Kernel, current: Extract<CurrentTask, { kind: 'memory' }>): bigint | undefined {
  const { symbols, offset, member } = current;
  const symbol = symbols.map((name) => kernel.symbols.address(name)).find((found) => found !== undefined);
  if (symbol === undefined && symbols.length > 0) return undefined;
  if (!member) return (symbol ?? 0n) + offset;
  const [struct, path] = member;
  const field = kernel.types?.hasStruct(struct) ? kernel.types.struct(struct).field(path) : undefined;
  return (symbol ?? 0n) + (field ? BigInt(field.offset) : offset);
}
