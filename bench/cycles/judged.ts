/** Our view of an instruction and llvm-mca's, where they differ on purpose. */
import type { CycleTraits } from '../../arch/cycles.js';
import { movesStackPointer } from '../../arch/x86/cycles.js';
import type { Analysed } from '../../src/cycles/price.js';
import { present } from '../present.js';

/**
 * An instruction with the registers that llvm-mca sees of it: of s390x's loads and stores of several registers only the first
 * and the last, which stand in the text, and those of the address; of x86's push and pop the stack pointer, too, which the
 * cores' stack engines do away with. What is judged is how instructions are put together, and that needs the same ones.
 */
export function asJudged(instruction: Analysed, { capstone, storage }: CycleTraits): Analysed {
  const { mnemonic, operands, reads, writes } = instruction;
  if (capstone.arch === 'X86' && movesStackPointer(mnemonic)) {
    const stackPointer = present(storage('rsp'));
    return { ...instruction, reads: [...reads, stackPointer], writes: [...writes, stackPointer] };
  }
  const printed = /^(%r\d+), (%r\d+), .*?(?:\((%r\d+)\))?$/.exec(operands);
  if (capstone.arch !== 'SYSZ' || !/^(?:lm|stm)[gyh]*$/.test(mnemonic) || printed === null) return instruction;
  const seen = (name: string) => printed.slice(1).includes(name);
  return { ...instruction, reads: reads.filter(seen), writes: writes.filter(seen) };
}
