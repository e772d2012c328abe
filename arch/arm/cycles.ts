/** What the cycle model must know of ARM: conditions and flags are letters of the mnemonic, which Capstone leaves to the reader. */
import { type CycleTraits, indexedRegisters, type Operand, type RegisterAccess } from '../cycles.js';

const ALIASES: Readonly<Record<string, string | null>> = {
  sb: 'r9',
  sl: 'r10',
  fp: 'r11',
  ip: 'r12',
  pc: null,
  cpsr: 'flags',
  apsr: 'flags',
};
const CONDITION = /(?:eq|ne|hs|cs|lo|cc|mi|pl|vs|vc|hi|ls|ge|lt|gt|le)$/;
/** End like a condition and have none. */
const UNCONDITIONAL =
  /^(?:teq|mls|lsls|muls|bics|sbcs|adcs|rscs|movs|svc|[su]mlals|[su]mulls|smmls|vmls|vcls|vceq|vcge|vcgt|vcle|vclt|vmlsl|vnmls|vrecps|vrsqrts)(?:\.|$)/;
const SETS_FLAGS =
  /^(?:cmp|cmn|tst|teq|(?:and|eor|sub|rsb|add|adc|sbc|rsc|orr|orn|mov|bic|mvn|mul|mla|lsl|lsr|asr|ror|rrx|[su]mull|[su]mlal)s)$/;
const READS_CARRY = /^(?:adc|sbc|rsc|rrx)s?$/;

const withoutCondition = (printed: string): string => {
  const [name = '', suffix = ''] = printed.replace(/\.[nw]$/, '').split(/(?=\.)/, 2);
  return UNCONDITIONAL.test(printed) || !CONDITION.test(name) ? printed : name.replace(CONDITION, '') + suffix;
};

function access(printed: string, _operands: readonly Operand[], known: RegisterAccess | null): RegisterAccess {
  // Capstone tells it for ARM.
  const { reads, writes } = known!;
  const mnemonic = withoutCondition(printed);
  const conditional = mnemonic !== printed;
  return {
    reads: conditional || READS_CARRY.test(mnemonic) ? [...reads, 'cpsr', ...(conditional ? writes : [])] : reads,
    writes: SETS_FLAGS.test(mnemonic) ? [...writes, 'cpsr'] : writes,
  };
}

export const armCycles: CycleTraits = {
  table: 'cycles.json',
  capstone: { arch: 'ARM', mode: [], thumbMode: ['THUMB'] },
  codeUnit: 4,
  llvm: { triple: 'armv7-linux-gnueabihf', cpu: 'cortex-a9', features: '+virtualization,+hwdiv-arm' },
  storage: (register) => {
    const alias = ALIASES[register];
    return alias === undefined ? register : alias;
  },
  registerKind: (register) => (register === 'pc' ? 'pc' : /^[sdq]\d/.test(register) ? register.slice(0, 1) : 'r'),
  mnemonic: withoutCondition,
  access,
  updates: (_, operands) => indexedRegisters(operands),
};
