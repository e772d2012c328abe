/** Basic blocks of a kernel's code: what the cycle tables are made from and what they are judged on. */
import type { CycleTraits } from '../../arch/cycles.js';
import { Disassembler } from '../../src/cycles/disassembler.js';
import { type Analysed, analyse } from '../../src/cycles/price.js';
import type { Kernel } from '../../src/kernel/kernel.js';
import { present } from '../present.js';

export interface Block {
  readonly address: bigint;
  readonly bytes: Uint8Array;
  readonly instructions: readonly Analysed[];
  /** FNV-1a of the bytes: its lowest bit says which half the block is in, the rest orders samples. */
  readonly hash: number;
}

/** The half that tables may be made from; the other half only judges. */
export const isForTuning = (block: Block): boolean => (block.hash & 1) === 0;

/** Mnemonics that end a block, by Capstone's architecture. */
const ENDS: Readonly<Record<string, RegExp>> = {
  X86: /^(?:j\w+|call|ret\w*|loop\w*|iret\w*|sysret\w*|sysexit|ud2|int3?|hlt)$/,
  ARM64: /^(?:b|b\.\w+|bl|blr|br|ret|cbn?z|tbn?z|eret|brk|svc|hvc|smc)$/,
  ARM: /^(?:b|bl|bx|blx)(?:eq|ne|[hc]s|lo|cc|mi|pl|v[sc]|hi|ls|ge|lt|gt|le|al)?$|^(?:udf|svc|cbn?z)/,
  PPC: /^(?:b(?!rh|rw|rd|perm|cdcfn)\w*[+-]?|sc|rfid?|hrfid|tr?ap)$/,
  SYSZ: /^(?:j\w*|br\w*|b[a-z]{0,3}r|b|ba\w+|bc\w*|bct\w*|c[lg]*[ri]*j\w*|svc|lpsw\w*)$/,
  RISCV: /^(?:c\.)?(?:b(?:eq|ne|lt|ge|gt|le)u?z?|j|jr|jalr?|ret|tail|ecall|ebreak|[msu]ret)$/,
  SPARC: /^(?:b\w*(?:,\w+)*|fb\w*|call|jmpl?|ret\w*|rett|t\w{1,3}|done|retry)$/,
};
const CALLS: Readonly<Record<string, RegExp>> = {
  X86: /^call$/,
  ARM64: /^(?:bl|blr)$/,
  ARM: /^(?:bl|blx)(?:eq|ne|[hc]s|lo|cc|mi|pl|v[sc]|hi|ls|ge|lt|gt|le)?$/,
  PPC: /^b\w*l[+-]?$/,
  SYSZ: /^(?:brasl?|basr?|jasl|bras|mc)$/,
  RISCV: /^(?:c\.)?jalr?$/,
  SPARC: /^call$/,
};
const LONGEST = 64;

export const endsBlock = (traits: CycleTraits, mnemonic: string): boolean =>
  present(ENDS[traits.capstone.arch]).test(mnemonic);
export const isCall = (traits: CycleTraits, mnemonic: string): boolean =>
  present(CALLS[traits.capstone.arch]).test(mnemonic);

export function hashOf(bytes: Uint8Array): number {
  let hash = 0x811c9dc5;
  for (const byte of bytes) hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
  return (hash ^ (hash >>> 15)) >>> 0;
}

/**
 * Distinct blocks of the functions of `kernel`: from a function's start, a branch target or the instruction after a branch
 * to the next branch, as an emulator translates them. Every `stride`-th function is looked at.
 */
export async function blocksOf(kernel: Kernel, traits: CycleTraits, stride = 1): Promise<Block[]> {
  const disassembler = await Disassembler.open(traits);
  const start = kernel.symbols.address('_stext') ?? 0n;
  const end = kernel.symbols.address('_etext') ?? 1n << 64n;
  const blocks = new Map<string, Block>();
  let count = 0;
  let last = -1n;
  for (const { address, type, size, name } of kernel.symbols) {
    if (address < start || address >= end || !/[tTwW]/.test(type) || address === last || size < 4n || size > 65536n)
      continue;
    if (/^__(?:pfx|cfi)_/.test(name)) continue;
    last = address;
    if (count++ % stride !== 0) continue;
    const code = kernel.read(address, Number(size));
    if (code === undefined) continue;
    const instructions = [...disassembler.instructions(code, address)].map((instruction) =>
      analyse(instruction, traits),
    );
    const at = new Map(instructions.map(({ offset }, index) => [offset, index]));
    const starts = new Set([0]);
    for (const [index, { mnemonic, operands }] of instructions.entries()) {
      if (!endsBlock(traits, mnemonic)) continue;
      starts.add(index + 1);
      const target = /(?:^|[ ,#])(0x[0-9a-f]+)$/.exec(operands);
      if (target) {
        const found = at.get(Number(BigInt(present(target[1])) - address));
        if (found !== undefined) starts.add(found);
      }
    }
    for (const first of starts) {
      let after = first;
      while (
        after < instructions.length &&
        after - first < LONGEST &&
        !endsBlock(traits, present(instructions[after++]).mnemonic)
      );
      if (after <= first) continue;
      const from = present(instructions[first]).offset;
      const to = present(instructions[after - 1]).offset + present(instructions[after - 1]).size;
      const bytes = code.slice(from, to);
      const key = Buffer.from(bytes).toString('latin1');
      if (!blocks.has(key))
        blocks.set(key, {
          address: address + BigInt(from),
          bytes,
          instructions: instructions.slice(first, after),
          hash: hashOf(bytes),
        });
    }
  }
  disassembler.close();
  return [...blocks.values()].sort((a, b) => a.hash - b.hash);
}
