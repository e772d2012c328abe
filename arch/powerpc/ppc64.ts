/** ppc64: Book3S in 64-bit big-endian mode, ELFv2, as our own guest and the kernels that `usercopy kernel build` makes are built. */

import { BIG, Words } from '../../src/kernel/words.js';
import { instructions, powerpcBranches } from '../common.js';
import type { Variant } from '../driver.js';
import { ppc64Cycles } from './cycles.js';
import { ppc64Dump } from './dump64.js';
import { completeMsr, enterRealMode, MSR } from './hypervisor.js';
import { clockStub64, ppc64le } from './ppc64le.js';
import { staticBranchOf } from './static-branch.js';

/** MSR of a guest that runs without translation, in 64-bit mode. */
const REAL_MODE = MSR.SF | MSR.HV | MSR.ME;

/** A global entry computes the TOC from r12: addis r2,r12,…; addi r2,r2,…. Calls from inside the kernel pass it by. */
function entryOffset(code: Uint8Array): bigint {
  const words = new Words(code, BIG);
  const computesToc = words.uint16(0) === 0x3c4c && words.uint16(4) === 0x3842;
  return computesToc ? 8n : 0n;
}

export const ppc64: Variant = {
  ...ppc64le,
  name: 'ppc64',
  cycles: ppc64Cycles,
  endian: 'big',
  note: 'ELFv2; judged by a 6.1 kernel built from source, since Debian has none; MSR.HV is patched into a saved CPU state',
  staticBranch: staticBranchOf('big'),
  directBranch: powerpcBranches('big'),
  dump: ppc64Dump,
  debianKernel: null,
  kernelBuild: {
    makeArchitecture: 'powerpc',
    sourceFolder: 'powerpc',
    triplet: 'powerpc64-linux-gnu',
    // PPC64_BIG_ENDIAN_ELF_ABI_V2: 5017b4594672 "powerpc/64: Option to build big-endian with ELFv2 ABI" (6.2, and in 6.1.y); kernels
    // without it are ELFv1, which nothing here runs.
    config: `
CONFIG_PPC64=y
CONFIG_PPC64_BIG_ENDIAN_ELF_ABI_V2=y
CONFIG_PPC_RADIX_MMU=y
CONFIG_SPARSEMEM_VMEMMAP=y
CONFIG_PPC_DISABLE_WERROR=y
CONFIG_SMP=y
CONFIG_NR_CPUS=2
`,
    optional: ['PPC_DISABLE_WERROR'],
  },
  prepare(engine) {
    enterRealMode(engine, REAL_MODE);
  },
  completeRegisters: completeMsr,
  stubs: [{ symbol: 'sched_clock', code: instructions('big', ...clockStub64) }],
  entryOffset,
};
