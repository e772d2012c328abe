/** Which core each table describes, and what llvm-mca's views of single instructions do not tell of it. */
import type { Cost } from '../../src/cycles/table.js';
import type { CoreFacts } from './make-table.js';

/** Cortex-A9, load and store multiple of n registers: Technical Reference Manual (ARM DDI 0388I), table B-3, aligned; stores are taken to cost the same. */
function multiples(): Record<string, Cost> {
  const costs: Record<string, Cost> = {};
  for (let count = 1; count <= 16; count++) {
    const cycles = Math.ceil(count / 2);
    const uses = { A9UnitLS: cycles, A9UnitAGU: cycles };
    const load: Cost = { latency: 2 + cycles, throughput: cycles, microOps: 1, uses, flags: 'l' };
    const store: Cost = { latency: cycles, throughput: cycles, microOps: 1, uses, flags: 's' };
    for (const mode of ['', 'ib', 'da', 'db']) {
      costs[`ldm${mode} r,l${count}`] = load;
      costs[`stm${mode} r,l${count}`] = store;
    }
    costs[`pop l${count}`] = load;
    costs[`push l${count}`] = store;
  }
  return costs;
}

const skylake = { core: 'Intel Skylake (client)', order: 'out', width: 6, buffer: 224, loadLatency: 5 } as const;

/** By the table's path under arch/. Widths and buffers are those of LLVM's models (IssueWidth, MicroOpBufferSize). */
export const CORES: Readonly<Record<string, CoreFacts & { readonly extra?: Readonly<Record<string, Cost>> }>> = {
  'x86/cycles-x86_64.json': skylake,
  'x86/cycles-i386.json': skylake,
  'arm64/cycles.json': {
    ...{ core: 'Arm Cortex-A53', order: 'in', width: 2, updateLatency: 0 },
    forwarding: {
      registers: /^x\d+$/,
      produce: (register) => `add ${register}, x1, x2`,
      latency: 3,
      consume: (register) => `add x1, ${register}, x2`,
    },
  },
  'arm/cycles.json': {
    ...{ core: 'Arm Cortex-A9', order: 'out', width: 2, buffer: 56, updateLatency: 1, storesInTurn: true },
    note: 'load and store multiple, which llvm-mca refuses, from the Technical Reference Manual (ARM DDI 0388I, table B-3: loads; stores are taken to cost the same)',
    extra: multiples(),
  },
  'powerpc/cycles.json': { core: 'IBM POWER9', order: 'out', width: 8, buffer: 44, updateLatency: 1 },
  'riscv/cycles.json': { core: 'SiFive U74', order: 'in', width: 2 },
  's390/cycles.json': { core: 'IBM z14', order: 'out', width: 6, buffer: 60, loadLatency: 4 },
};

/** AMD's Software Optimization Guide for Zen 4 (57647), 2.10.2. GCC's znver.md and zn4zn5.md give Zen 3, 4 and 5 the same divisions. */
const ZEN_DIVISION = { cycles: 8, bits: 9 } as const;

/** `cpu`: the core whose costs LLVM is asked about, where it has none of this one. */
export type OtherCore = CoreFacts & { readonly cpu?: string };

/**
 * Cores that a table can be had of beside the one above (`--core`), by Linux's name of the architecture and LLVM's of the core.
 * Widths and buffers as above, of LLVM 19.
 */
export const OTHER_CORES: Readonly<Record<string, Readonly<Record<string, OtherCore>>>> = {
  x86: {
    haswell: { core: 'Intel Haswell', order: 'out', width: 4, buffer: 192, loadLatency: 5 },
    'skylake-avx512': { core: 'Intel Skylake (server)', order: 'out', width: 6, buffer: 224, loadLatency: 5 },
    'icelake-server': { core: 'Intel Ice Lake (server)', order: 'out', width: 6, buffer: 352, loadLatency: 5 },
    alderlake: { core: 'Intel Golden Cove (Alder Lake)', order: 'out', width: 6, buffer: 512, loadLatency: 5 },
    sapphirerapids: {
      core: 'Intel Golden Cove (Sapphire Rapids)',
      order: 'out',
      width: 6,
      buffer: 512,
      loadLatency: 5,
    },
    znver2: { core: 'AMD Zen 2', order: 'out', width: 4, buffer: 224, loadLatency: 4 },
    znver3: {
      core: 'AMD Zen 3',
      ...{ order: 'out', width: 6, buffer: 256, loadLatency: 4 },
      documented: {
        plainLoad: { latency: 4, units: ['Zn3AGU', 'Zn3LSU', 'Zn3Load'] },
        forwarded: { classes: ['pop', 'ret'], latency: 8 },
        storeUnits: ['Zn3LSU', 'Zn3Store'],
        fetch: { width: 8, bubbles: 1 },
        division: ZEN_DIVISION,
      },
      note: "otherwise than LLVM, from AMD's Software Optimization Guide for family 19h (56665): 4 cycles for a plain load; two stores a cycle; 8 macro-ops a cycle from the op cache, up to a taken branch, and a cycle without any after calls, returns and jumps through registers. A known division takes 8 cycles and one for every 9 bits of the quotient (AMD's guide for Zen 4, 57647, whose divisions GCC's znver.md gives to both). What was pushed is popped after the 8 cycles of forwarding from a store (Chips and Cheese, AMD's Zen 4, Part 2, 2022: 7 to 8 on Zen 3)",
    },
    znver4: { core: 'AMD Zen 4', order: 'out', width: 6, buffer: 320, loadLatency: 4 },
    znver5: {
      core: 'AMD Zen 5, at the costs of Zen 4',
      order: 'out',
      width: 8,
      buffer: 448,
      loadLatency: 4,
      cpu: 'znver4',
      documented: {
        moreUnits: { Zn4ALU: 2, Zn4AGU: 1, Zn4LSU: 1, Zn4Load: 1 },
        plainLoad: { latency: 4, units: ['Zn4AGU', 'Zn4LSU', 'Zn4Load'] },
        forwarded: { classes: ['pop', 'ret'], latency: 1 },
        division: ZEN_DIVISION,
      },
      note: "LLVM 19 has no model of Zen 5, so that the costs are Zen 4's; otherwise: width, buffer and 4 cycles for a plain load from AMD's Software Optimization Guide for Zen 5 (58455); six ALUs and four AGUs from there and GCC's zn4zn5.md; what was pushed is popped without waiting for a load (Chips and Cheese, Zen 5 Hits Mobile, 2024); a known division takes 8 cycles and one for every 9 bits of the quotient (AMD's guide for Zen 4, 57647, whose divisions zn4zn5.md gives to both)",
    },
  },
  arm64: {
    'neoverse-n2': { core: 'Arm Neoverse N2', order: 'out', width: 10, buffer: 160, updateLatency: 1 },
    'neoverse-v1': { core: 'Arm Neoverse V1', order: 'out', width: 15, buffer: 256, updateLatency: 1 },
  },
  arm: {
    'cortex-a57': { core: 'Arm Cortex-A57, in 32-bit code', order: 'out', width: 3, buffer: 128, updateLatency: 1 },
  },
  powerpc: { pwr10: { core: 'IBM POWER10', order: 'out', width: 8, buffer: 44, updateLatency: 1 } },
  riscv: {
    'sifive-p670': { core: 'SiFive P670', order: 'out', width: 4, buffer: 160 },
    'sifive-s76': {
      ...{ core: 'SiFive 7 series (S76, U74), by LLVM 19', order: 'in', width: 2 },
      forwarding: {
        registers: /^(?:[ast]\d+|[stg]p|ra)$/,
        produce: (register) => `add ${register}, a1, a2`,
        latency: 3,
        consume: (register) => `add a1, ${register}, a2`,
      },
    },
  },
  s390: { z16: { core: 'IBM z16', order: 'out', width: 6, buffer: 60, loadLatency: 4 } },
};
