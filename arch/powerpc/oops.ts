/** arch/powerpc/kernel/{traps,process}.c. */
import { type OopsConvention, SYMBOL } from '../oops.js';

const WIDE = /\b(?:GPR\d\d|NIP|LR): +[0-9a-f]{16}\b|\[[0-9a-f]{16}\] \[[0-9a-f]{16}\]/;

/** Apple's G3 and G4 (PowerPC 7xx, 74xx) have 32 bits; `pSeries` and `PowerNV`, as ppc_md.name says them behind PAGE_SIZE=, have 64. */
const NARROW_MACHINE = /\b(?:PowerMac|PowerBook|iBook)-?G[34]\b/;
const WIDE_MACHINE = /\bPAGE_SIZE=.{0,60}\b(?:pSeries|PowerNV)\b/;

const NARROW = /\b(?:GPR\d\d|NIP|LR): +[0-9a-f]{8}\b(?!\w)|\[[0-9a-f]{8}\] \[[0-9a-f]{8}\]|\bREGS: [0-9a-f]{8} TRAP\b/;

/** Rows of `GPR04: value value …`, 4 or 8 to a row; NIP, LR and CTR beside them. */
function registers(text: string): Map<string, bigint> {
  const found = new Map<string, bigint>();
  const set = (name: string, value: string): void => {
    if (!found.has(name)) found.set(name, BigInt(`0x${value}`));
  };
  for (const [, first, row = ''] of text.matchAll(/^GPR(\d\d): ((?:[0-9a-f]{8,16} ?){1,8})/gm)) {
    for (const [index, value] of row.trim().split(' ').entries()) set(`r${Number(first) + index}`, value);
  }
  for (const [, name = '', value = ''] of text.matchAll(/\b(NIP|LR|CTR): +([0-9a-f]{8,16})\b/g)) {
    set(name === 'NIP' ? 'pc' : name.toLowerCase(), value);
  }
  return found;
}

export const powerpcOops: OopsConvention = {
  signs: [
    {
      pattern: /^(?:NIP: +[0-9a-f]{8,16}|GPR\d\d: |NIP \[[0-9a-f]+\]|REGS: [0-9a-f]+ TRAP: )/m,
      strength: 'registers',
      what: 'registers (NIP, GPR00)',
    },
    { pattern: /\b[BL]E PAGE_SIZE=\d+K\b/, strength: 'oops', what: 'its oops (PAGE_SIZE=)' },
    {
      pattern: /\b(?:system_call_common|system_call_exception|system_call_vectored_common|ret_from_syscall)\b/,
      strength: 'functions',
      what: 'functions of its call trace',
    },
    {
      pattern: /\b\d+\.\d+\.\d+\S*[.-](?:ppc64le|powerpc64le|ppc64|powerpc64|powerpc)\b/,
      strength: 'release',
      what: 'the release',
    },
  ],
  variant(text) {
    const isWide =
      WIDE.test(text) ||
      WIDE_MACHINE.test(text) ||
      /\bsystem_call_(?:common|exception|vectored_common)\b|\bLE PAGE_SIZE=|\b(?:ppc|powerpc)64(?:le)?\b/.test(text);
    // A report that is cut off before its registers tells no width.
    if (!isWide) return NARROW.test(text) || NARROW_MACHINE.test(text) ? 'ppc' : null;
    return /\bLE PAGE_SIZE=|<[A-Z,]*\bLE\b[A-Z,]*>|(?:ppc64le|powerpc64le)\b/.test(text) ? 'ppc64le' : 'ppc64';
  },
  bits: (variant) => (variant === 'ppc' ? 32 : 64),
  isLittle: (variant) => variant === 'ppc64le',
  registers,
  lineStarts: 'NIP|LR|MSR:|REGS:|CFAR|IRQMASK|GPR\\d\\d|[BL]E PAGE_SIZE|Instruction dump',
  stackPointer: ['r1'],
  returnValue: ['r3'],
  userMode: /^--- (?:interrupt|Exception|syscall)/m,
  pc: new RegExp(`^NIP \\[[0-9a-f]+\\] ${SYMBOL}`, 'm'),
  bugLines: [/\bKernel BUG at \.?\S+ \[verbose debug info unavailable\]/],
};
