/** `arch/<arch>/cycles*.json`: what the instructions of one named core cost. Made by scripts/make-cycle-table.mjs. */
import * as fs from 'node:fs/promises';
import { packageFile } from '../paths.js';

/** What one class of instructions costs. Cycles throughout. */
export interface Cost {
  readonly latency: number;
  /** Cycles from one such instruction to the next independent one: for readers; the scoreboard derives it from `uses`. */
  readonly throughput: number;
  readonly microOps: number;
  /** Unit group → cycles for which one unit of it is taken. */
  readonly uses: Readonly<Record<string, number>>;
  /** Cycles after issue at which operands that are no address are needed, from instructions that forward; 0 when absent. */
  readonly early?: number;
  /** Cycles before its end at which the result can go to an instruction that needs it later than at issue; 0 when absent. */
  readonly forwards?: number;
  /** `l`: loads, `s`: stores, `b`: has effects that LLVM does not describe (nothing is made of it); `f`, `e`: first, last of its dispatch group. */
  readonly flags?: string;
}

export interface Fetch {
  /** Micro-ops that come in a cycle, up to a branch that is taken: its target comes in the next. */
  readonly width: number;
  /** Cycles in which nothing comes after a call, a return or a jump through a register. */
  readonly bubbles: number;
}

export interface Division {
  /** Cycles of any division. */
  readonly cycles: number;
  /** One more for each begun so many bits of the quotient. */
  readonly bits: number;
}

export interface CycleTable {
  /** `Intel Skylake (client)` */
  readonly core: string;
  /** Where the numbers come from: tool, version, command; or a manual. */
  readonly source: string;
  /** `out`: instructions wait for their operands in a buffer; `in`: an instruction that waits holds up all later ones. */
  readonly order: 'out' | 'in';
  /** Micro-ops that enter the core in a cycle. */
  readonly width: number;
  /** Micro-ops that are in flight at once. In-order cores have none. */
  readonly buffer?: number;
  /** Cycles after issue at which an instruction that loads and computes needs its other operands. */
  readonly loadLatency?: number;
  /** Cycles after issue at which an address that a load or store has moved on is there; those of the access when absent. */
  readonly updateLatency?: number;
  /** A store enters only when the one before it has issued; false when absent. */
  readonly storesInTurn?: boolean;
  /** How instructions come to where they enter; as many as enter, from anywhere, when absent. */
  readonly fetch?: Fetch;
  /** What a division takes whose quotient is known; what its class says when absent. */
  readonly division?: Division;
  readonly units: readonly string[];
  /** Group → indices of `units` that can do its work. */
  readonly groups: Readonly<Record<string, readonly number[]>>;
  readonly costs: readonly Cost[];
  /** Class key → index of `costs`. `mnemonic shape` goes before `mnemonic`; `?` is for what no class fits. */
  readonly classes: Readonly<Record<string, number>>;
}

/** The file of another core, beside that of the usual one: `cycles-x86_64.json`, `cycles-x86_64-znver4.json`. */
export const tableOf = (usual: string, core: string | undefined): string =>
  core === undefined ? usual : usual.replace(/\.json$/, `-${core}.json`);

/** Cores that there is a table of beside the usual one, by LLVM's names. */
export async function otherCores(linuxArch: string, usual: string): Promise<string[]> {
  const start = usual.replace(/\.json$/, '-');
  const files = await fs.readdir(packageFile(`arch/${linuxArch}`));
  return files.flatMap((file) =>
    file.startsWith(start) && file.endsWith('.json') ? [file.slice(start.length, -5)] : [],
  );
}

export async function readCycleTable(linuxArch: string, file: string): Promise<CycleTable> {
  return JSON.parse(await fs.readFile(packageFile(`arch/${linuxArch}/${file}`), 'utf8'));
}
