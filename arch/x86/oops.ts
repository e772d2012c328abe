/** arch/x86/kernel/{dumpstack,process_32,process_64}.c. */
import { namedRegisters, type OopsConvention, releaseOf, SYMBOL } from '../oops.js';

const I386 = 'i[3-6]86|686(?:-pae)?';
const I386_RELEASE = releaseOf(I386);
const NARROW =
  /\b(?:EIP: |E[A-D]X: [0-9a-f]{8}\b|ia32_sys_call|entry_INT80_32|entry_SYSENTER_32|attempt detected (?:from|to) [0-9a-f]{8} \()/;

const X86_64_RELEASE = releaseOf('x86_64|amd64');
/** What no kernel of 32 bits prints: its registers, its entry points, an address of 16 digits. */
const WIDE =
  /\bR(?:IP|SP)[: ]|\bR(?:[A-D]X|[SD]I|BP|\d\d): [0-9a-f]{16}\b|\b(?:do_syscall_64|entry_SYSCALL_64\w*|__x64_sys_\w+|__ia32_sys_\w+|entry_SYSENTER_compat|entry_INT80_compat|ghash_clmulni_intel|crct10dif_pclmul|\w{1,30}_x86_64)\b|\bffff[0-9a-f]{12}\b|attempt detected (?:from|to) [0-9a-f]{16} \(/;

const lower = (name: string): string => name.toLowerCase();

export const x86Oops: OopsConvention = {
  signs: [
    {
      pattern: /\b(?:RIP: 00[13]\d:|R[A-D]X: [0-9a-f]{16}\b|RIP\s+\[<)/,
      strength: 'registers',
      what: 'registers (RIP, RAX)',
    },
    { pattern: /\b(?:EIP: |E[A-D]X: [0-9a-f]{8}\b)/, strength: 'registers', what: 'registers (EIP, EAX)' },
    { pattern: /\binvalid opcode: 0000 \[#/, strength: 'oops', what: "'invalid opcode'" },
    { pattern: /\bShutting down cpus with NMI\b/, strength: 'oops', what: "'Shutting down cpus with NMI'" },
    {
      pattern:
        /\b(?:do_syscall_64|entry_SYSCALL_64\w*|__x64_sys_\w+|do_int80_syscall_32|ia32_sys_call|entry_INT80_32|do_fast_syscall_32)\b/,
      strength: 'functions',
      what: 'functions of its call trace',
    },
    { pattern: releaseOf(`x86_64|amd64|${I386}`), strength: 'release', what: 'the release' },
    {
      pattern: /\b(?:kvm_intel|kvm_amd|aesni_intel|x86_pkg_temp_thermal|intel_rapl)\b/,
      strength: 'modules',
      what: 'modules',
    },
  ],
  variant(text) {
    if (/\bR[A-D]X: [0-9a-f]{16}\b/.test(text)) return 'x86_64';
    if (NARROW.test(text) || I386_RELEASE.test(text)) return 'i386';
    return 'x86_64';
  },
  assumption: (text) =>
    [NARROW, I386_RELEASE, WIDE, X86_64_RELEASE].some((sign) => sign.test(text))
      ? null
      : 'the log is one of x86 and does not tell of how many bits: x86_64 is taken',
  bits: (variant) => (variant === 'i386' ? 32 : 64),
  isLittle: () => true,
  registers: (text) =>
    namedRegisters(text, [
      {
        pattern: /\b(R(?:[A-D]X|[SD]I|BP|0[89]|1[0-5])): ?([0-9a-f]{16})\b/g,
        name: (name) => lower(name).replace('r0', 'r'),
      },
      { pattern: /\b(RSP): 00[0-9a-f]{2}:([0-9a-f]{16})\b/g, name: lower },
      { pattern: /\b(RIP)[: ] *(?:00[0-9a-f]{2}:)?\[<([0-9a-f]{16})>\]/g, name: lower },
      { pattern: /\b(E(?:[A-D]X|[SD]I|BP|SP)): ?([0-9a-f]{8})\b/g, name: lower },
    ]),
  lineStarts:
    'RIP|EIP|RSP|R[A-D]X|R[SD]I|RBP|R\\d\\d:|E[A-D]X|E[SD]I|EBP|[CDEFGS]S: |CR\\d: |DR\\d: |PKRU|ORIG_RAX|invalid opcode',
  stackPointer: ['rsp', 'esp'],
  returnValue: ['rax', 'eax'],
  userMode: /^(?:RIP: 00[23]3:|EIP: 0x[0-9a-f]{1,8}$|EIP: 0073:)/m,
  // ud2; up to 4.17 or so the line was the last of all.
  bugCode: /<0f> 0b\b/,
  pc: new RegExp(`^[RE]IP:?\\s+(?:00[0-9a-f]{2}:)?(?:\\[<[0-9a-f]+>\\]\\s+){0,2}${SYMBOL}`, 'm'),
  bugLines: [],
};
