/** arch/mips/kernel/{traps,process}.c: both byte orders are built, and of an oops only the release may tell which. */
import { type OopsConvention, releaseOf, SYMBOL, VALUE } from '../oops.js';

const MIPS_ROW = new RegExp(`^\\$ ?(\\d{1,2}) +: ((?:${VALUE} ?){1,4})`, 'gm');

/** What kernels of 64 bits alone print, or have. */
const WIDE = /^\$ ?\d{1,2} +: [0-9a-f]{16}\b|^Stack : [0-9a-f]{16}\b|\bhandle_sys(?:64|n32)\+/m;
/** Debian's flavours but for octeon, which others build big-endian; Loongsons are all little-endian. */
const WIDE_NAMES = '5kc-malta|loongson-\\w{1,4}|mips64(?:r\\d)?el';
const NAMES = `${WIDE_NAMES}|4kc-malta|mips(?:32)?(?:r\\d)?el`;
const LITTLE_RELEASE = releaseOf(NAMES);
const WIDE_RELEASE = releaseOf(WIDE_NAMES);

/** arch/mips/kernel/traps.c: rows of four, `$12   : value value value value`. */
export const mipsOops: OopsConvention = {
  signs: [
    {
      pattern: /^(?:epc +: [0-9a-f]{8,16} (?!ra :)|\$ ?\d{1,2} +: [0-9a-f]{8})/m,
      strength: 'registers',
      what: 'registers ($ 0, epc)',
    },
    { pattern: /\bKernel bug detected\[#/, strength: 'oops', what: "'Kernel bug detected'" },
    // show_stacktrace(): no other architecture puts a space before that colon and the values on the same line.
    { pattern: /^Stack : [0-9a-f]{8,16} [0-9a-f]{8,16}\b/m, strength: 'oops', what: "its stack dump ('Stack :')" },
    {
      pattern: /\b(?:handle_sys64|handle_sysn32|handle_sys|syscall_common)\+0x/,
      strength: 'functions',
      what: 'functions of its call trace',
    },
    { pattern: LITTLE_RELEASE, strength: 'release', what: 'the release' },
  ],
  // The project's variants are those of little-endian kernels.
  variant(text) {
    const name = WIDE.test(text) || WIDE_RELEASE.test(text) ? 'mips64' : 'mips';
    return LITTLE_RELEASE.test(text) ? `${name}el` : name;
  },
  bits: (variant) => (variant.startsWith('mips64') ? 64 : 32),
  isLittle: () => true,
  registers(text) {
    const found = new Map<string, bigint>();
    for (const [, first, row = ''] of text.matchAll(MIPS_ROW)) {
      for (const [index, value] of row.trim().split(' ').entries()) {
        const name = `$${Number(first) + index}`;
        if (!found.has(name)) found.set(name, BigInt(`0x${value}`));
      }
    }
    return found;
  },
  lineStarts: '\\$ ?\\d{1,2} |Hi +:|Lo +:|epc |Status:|Cause |PrId',
  stackPointer: ['$29'],
  returnValue: ['$2'],
  userMode: null,
  pc: new RegExp(`^epc +: [0-9a-f]+ ${SYMBOL}`, 'm'),
  bugLines: [/\bKernel bug detected\[#\d+\]:?/],
};
