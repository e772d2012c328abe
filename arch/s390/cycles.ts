/**
 * What the cycle model must know of z/Architecture. Capstone does not say which registers an instruction reads and writes
 * here; it follows from the mnemonic: loads and three-operand forms write their first operand, the others also read it
 * (z/Architecture Principles of Operation, SA22-7832).
 */
import type { CycleTraits, Operand, RegisterAccess } from '../cycles.js';

/** First operand only written. */
const WRITES_FIRST =
  /^(?:l(?!aa|an|ao|ax|oc|ctl|psw)|i[lp](?:m|te)$|icy|ear|epsw|ipm|tam|bras|bas|ll|sll[gk]|srl[gk]|sra[gk]|sla[gk]|rllg?$|rll|cvd|stck|flogr|popcnt|risbg?z|risbhgz|risblgz|r[no]?sbgz|[ansox]g?rk$|al?g?rk$|sl?g?rk$|al?g?hsik|ag?hik|al?g?hsik|msg?rkc|vl|dsg|epair|esar|csp|lra)/;
/** First operand only read. */
const READS_FIRST =
  /^(?:st(?!nsm|osm|ap|idp)|c(?!s|ds|vb|sp|[defx][fg][bt]r)|t(?:m|ml|mh|b|p|racg)|tm|b|j|ni|oi|xi|mv|clc|nc|oc|xc|mvi|pfd|svc|lpsw|sac|sckc|spt|sam|ssm|sar$|lctl|ni|asi|agsi|alsi|algsi|ltr$)/;
/** Also set the condition code. */
const SETS_CC =
  /^(?:a(?!r$|e)|al|s(?!ll|rl|t|ac|ar$|am|ck|pt|sm|ig|ke|qd|fpc)|sl(?!l|dl|ag?k?$)|sra|sla|n(?!op|i?g?nop)|o|x|c(?!d|s?vb|v|[defx][fg]|[lg]*[ri]*j)|tm|lt|lc|lp(?!sw)|ln|lcg|ltg|icm|risb|rnsb|rosb|rxsb|ng|og|xg|cs|cds|clc|nc|oc|xc|tb|la[anox]|flogr|mvcos|mvcle|ipte|msg?c|msg?rkc|srst|clst)/;
const READS_CC = /^(?:j(?!g?nop$|$|g$|asl)|b(?:[a-z]{1,3}r|[a-z]{1,2}|c|cr)$|loc|stoc|ipm|al?c|slb|sel)/;
const ALWAYS = /^(?:j|jg|br|b|jnop|bras?l?|basr?|jasl|bctg?r?|br?ct\w*|c[lg]*[ri]*j\w*)$/;
const MULTIPLE = /^(?:lm|stm)[gyh]*$/;

function between(first: string, last: string): string[] {
  const names: string[] = [];
  const from = Number(first.replace(/\D/g, ''));
  const to = Number(last.replace(/\D/g, ''));
  for (let number = from; ; number = (number + 1) % 16) {
    names.push(`%r${number}`);
    if (number === to) return names;
  }
}

function access(mnemonic: string, operands: readonly Operand[]): RegisterAccess {
  const reads: string[] = [];
  const writes: string[] = [];
  const first = operands[0]?.kind === 'r' ? operands[0].registers : [];
  const rest = [...operands.slice(first.length > 0 ? 1 : 0)].flatMap(({ registers }) => registers);
  if (MULTIPLE.test(mnemonic)) {
    const list = between(first[0] ?? '%r0', operands[1]?.registers[0] ?? '%r0');
    reads.push(...(operands[2]?.registers ?? []));
    (mnemonic.startsWith('l') ? writes : reads).push(...list);
  } else if (/^br?ct/.test(mnemonic)) {
    reads.push(...first, ...rest);
    writes.push(...first);
  } else if (/^(?:brasl?|basr?|jasl)$/.test(mnemonic)) {
    reads.push(...rest);
    writes.push(...first);
  } else {
    reads.push(...rest);
    if (!WRITES_FIRST.test(mnemonic)) reads.push(...first);
    if (WRITES_FIRST.test(mnemonic) || !READS_FIRST.test(mnemonic)) writes.push(...first);
  }
  if (SETS_CC.test(mnemonic) && !/^[bj]/.test(mnemonic)) writes.push('cc');
  if (READS_CC.test(mnemonic) && !ALWAYS.test(mnemonic)) reads.push('cc');
  return { reads, writes };
}

export const s390xCycles: CycleTraits = {
  repeats: /^(?:mvc(?:os|p|s|le?)|clcle?|cksm)$/,
  table: 'cycles.json',
  capstone: { arch: 'SYSZ', mode: ['BIG_ENDIAN'] },
  codeUnit: 2,
  llvm: { triple: 's390x-linux-gnu', cpu: 'z14' },
  storage: (register) => (register === '%r0' || register !== '0' ? register : null),
  registerKind: (register) => (register.startsWith('%') ? register.slice(1, 2) : register),
  access,
};
