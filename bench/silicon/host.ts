/** Which core this machine has, as cpuid tells the kernel and the kernel tells us. */
import { readFileSync } from 'node:fs';

export interface HostCore {
  /** `AuthenticAMD, family 26, model 2` */
  readonly identity: string;
  /** LLVM's name of the core; null when it is not known here. */
  readonly llvm: string | null;
}

/** Models in hexadecimal from the first to the last, as the vendors number them. */
const AMD: readonly (readonly [family: number, from: number, to: number, llvm: string])[] = [
  [0x17, 0x30, 0xff, 'znver2'],
  [0x17, 0x00, 0x2f, 'znver1'],
  [0x19, 0x10, 0x1f, 'znver4'],
  [0x19, 0x60, 0x7f, 'znver4'],
  [0x19, 0xa0, 0xaf, 'znver4'],
  [0x19, 0x00, 0xff, 'znver3'],
  [0x1a, 0x00, 0xff, 'znver5'],
];
const INTEL: Readonly<Record<number, string>> = {
  ...{ 60: 'haswell', 63: 'haswell', 69: 'haswell', 70: 'haswell' },
  ...{ 61: 'broadwell', 71: 'broadwell', 79: 'broadwell', 86: 'broadwell' },
  ...{ 78: 'skylake', 94: 'skylake', 142: 'skylake', 158: 'skylake', 165: 'skylake', 166: 'skylake' },
  ...{ 85: 'skylake-avx512', 106: 'icelake-server', 108: 'icelake-server' },
  ...{ 151: 'alderlake', 154: 'alderlake', 143: 'sapphirerapids', 207: 'sapphirerapids' },
};
/** Cores of nearly the same pipeline, the nearest first. What is not in it stands for itself alone. */
const KIN: Readonly<Record<string, readonly string[]>> = {
  ...{ znver1: ['znver2'], znver2: ['znver1'], znver3: ['znver4'], znver4: ['znver3'], znver5: ['znver4'] },
  ...{ alderlake: ['sapphirerapids'], sapphirerapids: ['alderlake'] },
  ...{ haswell: ['broadwell'], broadwell: ['haswell'], 'skylake-avx512': ['skylake'], skylake: ['skylake-avx512'] },
};

/**
 * No-ops that a core takes in a cycle when one thread has it for itself, which is what it renames: AMD's Software Optimization
 * Guides (56665, 57647, 58455: dispatch), Intel's Optimization Reference Manual (micro-ops allocated a cycle).
 */
const NO_OPS: Readonly<Record<string, number>> = {
  ...{ znver3: 6, znver4: 6, znver5: 8 },
  ...{
    haswell: 4,
    broadwell: 4,
    skylake: 4,
    'skylake-avx512': 4,
    'icelake-server': 5,
    alderlake: 6,
    sapphirerapids: 6,
  },
};

/** 0 of a core of which it is not known. */
export const noOpsOf = (llvm: string | null): number => (llvm === null ? 0 : (NO_OPS[llvm] ?? 0));

/** Of the cores that there are tables of, the one that is this one, or else the nearest; null where none is near. */
export function nearestCore(llvm: string | null, tables: readonly string[]): string | null {
  if (llvm === null) return null;
  return [llvm, ...(KIN[llvm] ?? [])].find((core) => tables.includes(core)) ?? null;
}

export function hostCore(cpuinfo: string = readFileSync('/proc/cpuinfo', 'latin1')): HostCore {
  const field = (name: string) => new RegExp(`^${name}\\s*: (.*)$`, 'm').exec(cpuinfo)?.[1]?.trim() ?? null;
  const vendor = field('vendor_id');
  const [family, model] = [Number(field('cpu family')), Number(field('model'))];
  if (vendor === null) return { identity: process.arch, llvm: null };
  const llvm =
    vendor === 'AuthenticAMD'
      ? (AMD.find(([of, from, to]) => of === family && model >= from && model <= to)?.[3] ?? null)
      : vendor === 'GenuineIntel' && family === 6
        ? (INTEL[model] ?? null)
        : null;
  return { identity: `${vendor}, family ${family}, model ${model}`, llvm };
}
