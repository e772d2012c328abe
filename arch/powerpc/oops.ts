/** arch/powerpc/kernel/{traps,process}.c. */
import { type OopsConvention, releaseOf, SYMBOL, VALUE } from '../oops.js';

/** A value of so many digits where one of a register's width stands. A blank is behind it: what ends there may be cut off. */
const ofWidth = (digits: number): RegExp =>
  new RegExp(`\\b(?:GPR\\d\\d|NIP|LR|REGS): +[0-9a-f]{${digits}} |\\[[0-9a-f]{${digits}}\\] `);
const WIDE = ofWidth(16);
const NARROW = ofWidth(8);

const WIDE_NAMES = 'ppc64(?:le)?|powerpc64(?:le)?';
const WIDE_RELEASE = /\b(?:ppc|powerpc)64(?:le)?\b/;
/** Debian's flavours of 32 bits, Fedora's, and Apple's machines with a PowerPC 7xx or 74xx, as people call kernels of their own. */
const NARROW_NAMES = 'powerpc(?:-smp)?|ppc|(?:PowerMac|PowerBook|iBook)-?G[34]';
const NARROW_RELEASE = releaseOf(NARROW_NAMES);

/**
 * What kernels of 64 bits alone have. Behind PAGE_SIZE= __die() prints radix tables, NUMA (Kconfig has both depend on PPC64), and the name
 * of the platform (ppc_md.name; a PowerMac may be either). Their system calls enter by these functions; system_call_exception() is that of 32 bits,
 * too, since 6f76a01173cc (5.12).
 */
const WIDE_KERNEL =
  /\bLE PAGE_SIZE=|\bPAGE_SIZE=.{0,60} (?:MMU=Radix|NUMA|pSeries|PowerNV)\b|\bsystem_call_(?:common|vectored_common)\b/;

/** Rows of `GPR04: value value …`, 4 or 8 to a row; NIP, LR and CTR beside them. */
const ROW = new RegExp(`^GPR(\\d\\d): ((?:${VALUE} ?){1,8})`, 'gm');
const ALONE = new RegExp(`\\b(NIP|LR|CTR): +(${VALUE})`, 'g');

function registers(text: string): Map<string, bigint> {
  const found = new Map<string, bigint>();
  const set = (name: string, value: string): void => {
    if (!found.has(name)) found.set(name, BigInt(`0x${value}`));
  };
  for (const [, first, row = ''] of text.matchAll(ROW)) {
    for (const [index, value] of row.trim().split(' ').entries()) set(`r${Number(first) + index}`, value);
  }
  for (const [, name = '', value = ''] of text.matchAll(ALONE)) {
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
      pattern: releaseOf(`${WIDE_NAMES}|${NARROW_NAMES}`),
      strength: 'release',
      what: 'the release',
    },
  ],
  variant(text) {
    const isWide = WIDE.test(text) || WIDE_KERNEL.test(text) || WIDE_RELEASE.test(text);
    // A report that is cut off before its registers may tell no width.
    if (!isWide) return NARROW.test(text) || NARROW_RELEASE.test(text) ? 'ppc' : null;
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
