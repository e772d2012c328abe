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

/** No-ops a cycle where LLVM's width of the core is another: micro-ops renamed a cycle (Intel Optimization Reference Manual, 2.4 and 2.6). */
const NO_OPS: Readonly<Record<string, number>> = { skylake: 4, 'skylake-avx512': 4, 'icelake-server': 5 };

/** No-ops that a core takes in a cycle when one thread has it for itself. @param width LLVM's, in the core's table. */
export const noOpsOf = (llvm: string, width: number): number => NO_OPS[llvm] ?? width;

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
