/** Judges copies against the structures that lie in a dump. */
import type { Variant } from '../../arch/driver.js';
import { type Rules, rulesOf, withoutGate } from '../attach/plan.js';
import { Check, type CheckSource } from '../check/check.js';
import type { CheckParameters } from '../check/parameters.js';
import type { Profile } from '../check/profiles.js';
import type { Copy, Verdict } from '../check/verdict.js';
import { badInput, hex, UsercopyError } from '../errors.js';
import { closedGate, type Gate, gateOf, isClosed, unknownGate } from '../introspect/gate.js';
import { MemoryReader } from '../introspect/memory-reader.js';
import { type SlabFacts, slabFactsOf } from '../introspect/slab-facts.js';
import { type Unknown, unknownsOf } from '../introspect/unknowns.js';
import { explainVerdict } from '../report/explain.js';
import { formatMessage, formatWarning, type MessageStyle } from '../report/format.js';
import { argumentRegister } from '../stack/call.js';
import type { StackDepth } from '../stack/depth.js';
import { callPlaceOf } from './call-place.js';
import { type CurrentTaskFound, taskOf } from './current.js';
import type { Dump } from './open-dump.js';

export interface JudgeOptions {
  /** Where check.wasm comes from: `builtCheck` in Node.js. */
  readonly source: CheckSource;
  /** A profile's name, or `auto` (default): by the kernel's contents, its vendor, its version. */
  readonly profile?: string | undefined;
  /** Check stack frames although the dump's kernel does not. An error where it does not link them. */
  readonly frames?: boolean | undefined;
  /** Judge although hardened_usercopy is off in this kernel: for who asks what lies somewhere. */
  readonly gate?: 'ignored' | undefined;
  /** Learns how much stack the kernel's check uses; asked only when a verdict depends on it. null: it has no such rule. */
  readonly stackDepth?: (dump: Dump, current: CurrentTaskFound) => Promise<StackDepth | null>;
}

export interface DumpJudgement {
  readonly copy: Copy;
  readonly verdict: Verdict;
  /** The kernel's line for a refused copy; null when it prints none. */
  readonly message: string | null;
  /** Its line for a copy that HARDENED_USERCOPY_FALLBACK lets pass; null for every other. */
  readonly warning: string | null;
  readonly explanation: readonly string[];
  /** Why the verdict may differ from the kernel's own. */
  readonly warnings: readonly string[];
  /** Those of them that are about the dump and its memory, whatever the copy. */
  readonly memoryWarnings: readonly string[];
}

export class DumpJudge {
  readonly dump: Dump;
  readonly profile: Profile;
  /** What it was picked by, in a sentence; null when it was named. */
  readonly profileBy: string | null;
  readonly #check: Check;
  readonly #parameters: CheckParameters;
  readonly #style: MessageStyle;
  readonly #current: CurrentTaskFound | null;
  readonly #options: JudgeOptions;
  readonly #gate: Gate | null;
  readonly #unknowns: readonly Unknown[];
  /** undefined: not asked for yet. */
  #depth: StackDepth | null | undefined;
  #depthFailure: string | null = null;

  private constructor(dump: Dump, rules: Rules, check: Check, options: JudgeOptions) {
    this.dump = dump;
    this.profile = rules.profile;
    this.profileBy = rules.profileBy;
    this.#style = rules.style;
    this.#check = check;
    this.#options = options;
    this.#gate = options.gate === 'ignored' ? null : gateOf(dump.kernel);
    this.#current = taskOf(dump);
    const { switches } = rules.parameters;
    const parameters = {
      ...rules.parameters,
      switches: { ...switches, bypass: switches.bypass || isClosed(this.#gate) },
    };
    this.#parameters = withCurrent(parameters, dump, this.#current);
    const { introspection } = parameters;
    const layout = runningVariant(dump).layout(dump.kernel);
    this.#unknowns =
      introspection === null ? [] : unknownsOf(dump.kernel, layout, introspection, rules.profile.switches);
    check.configure(this.#parameters);
    check.foreignReader = (address, length) => dump.kernel.read(address, length);
  }

  /** @throws UsercopyError `bad-input` when the kernel lacks the types or symbols that the check reads. */
  static async create(dump: Dump, options: JudgeOptions): Promise<DumpJudge> {
    const found = rulesOf(dump.kernel, runningVariant(dump), { profile: options.profile, frames: options.frames });
    const rules = options.gate === 'ignored' ? withoutGate(found) : found;
    // All guest memory is read through `foreignReader`.
    const check = await Check.create({ source: options.source, guestBytes: 0 });
    return new DumpJudge(dump, rules, check, options);
  }

  /** Where this kernel keeps what it knows of memory. */
  get parameters(): CheckParameters {
    return this.#parameters;
  }

  /** The task that the CPU was running; null when nothing leads to it. */
  get current(): CurrentTaskFound | null {
    return this.#current;
  }

  /** The copy that the CPU's argument registers describe, at the first instruction of `__check_object_size`. */
  copyFromRegisters(): Copy {
    const { variant, atCheck, path } = this.dump;
    if (!atCheck) {
      throw new UsercopyError(
        'bad-input',
        `${path}: expected registers at the first instruction of __check_object_size, found ${variant.registers.pc} ` +
          `${place(this.dump)}; say which copy with --at, --size and --to-user or --from-user`,
      );
    }
    const copy = this.#argumentCopy();
    if (typeof copy !== 'string') return copy;
    throw badInput(
      path,
      'the copy in the registers of the CPU at __check_object_size',
      `no ${copy} among them; say which copy with --at, --size and --to-user or --from-user`,
    );
  }

  /** Whether it is the copy that the CPU stands at the check of. */
  isInRegisters({ pointer, size, direction }: Copy): boolean {
    const copy = this.dump.atCheck ? this.#argumentCopy() : '';
    return typeof copy !== 'string' && copy.pointer === pointer && copy.size === size && copy.direction === direction;
  }

  /** The copy that the argument registers describe; the name of one that is not known. */
  #argumentCopy(): Copy | string {
    const { variant, registers } = this.dump;
    const names = [0, 1, 2].map((index) => argumentRegister(variant, index));
    const [pointer, size, toUser] = names.map((name) => registers.get(name));
    // ia64's arguments are in the register backing store, which no note has.
    if (pointer === undefined || size === undefined || toUser === undefined)
      return names.find((name) => !registers.has(name)) ?? '';
    // bool to_user: only the low byte is defined.
    return { pointer, size, direction: (toUser & 0xffn) !== 0n ? 'to_user' : 'from_user' };
  }

  /** What lies around a slab object that begins at `start`; null where its slab cannot be found. */
  slabFacts(start: bigint): SlabFacts | null {
    const { kernel } = this.dump;
    return slabFactsOf(this.#check, kernel, new MemoryReader(kernel), start);
  }

  /** Judges one copy as the dump's kernel would. */
  async judge(copy: Copy): Promise<DumpJudgement> {
    let verdict = this.#ask(copy);
    if (this.#needsDepth(verdict) && this.#depth === undefined && this.#current) {
      this.#depth = await this.#learnDepth(this.#current);
      if (this.#depth) {
        this.#check.configure({
          ...this.#parameters,
          stack: {
            ...this.#parameters.stack,
            depthOfCheck: this.#depth.check,
            depthOfPrint: this.#depth.print,
          },
        });
        verdict = this.#ask(copy);
      }
    }
    const message = formatMessage(verdict, copy, this.#style);
    const warning = formatWarning(verdict, copy, this.#style);
    const explanation = explainVerdict(verdict, copy);
    const memoryWarnings = this.#memoryWarnings(verdict);
    const warnings = [...memoryWarnings, ...this.#warnings(verdict)];
    return { copy, verdict, message, warning, explanation, warnings, memoryWarnings };
  }

  /** At the check's first instruction: the CPU's where it stands there, else that of the call which a replay makes. */
  get #stackPointer(): bigint {
    const { variant, registers, atCheck } = this.dump;
    if (!atCheck && this.#current) {
      const { atEntry } = callPlaceOf(this.dump, this.#current);
      return BigInt.asUintN(variant.bits, atEntry - BigInt(variant.call.stackBias ?? 0));
    }
    // Without a stack pointer nothing lies below it.
    return registers.get(variant.registers.sp) ?? 0n;
  }

  #ask(copy: Copy): Verdict {
    const { variant, registers } = this.dump;
    return this.#check.judge(copy, {
      stackPointer: this.#stackPointer,
      framePointer: registers.get(variant.registers.fp) ?? 0n,
      currentBase: this.#current?.task ?? 0n,
    });
  }

  /** Only verdicts about the current stack depend on the stack that the check itself uses. */
  #needsDepth(verdict: Verdict): boolean {
    if (!this.#parameters.switches.depth || verdict.outcome === 'unreadable') return false;
    return verdict.by === 'process stack' || verdict.by === 'stack' || verdict.by === 'stack frame';
  }

  async #learnDepth(current: CurrentTaskFound): Promise<StackDepth | null> {
    try {
      return (await this.#options.stackDepth?.(this.dump, current)) ?? null;
    } catch (error) {
      if (!(error instanceof UsercopyError)) throw error;
      this.#depthFailure = error.message;
      return null;
    }
  }

  #memoryWarnings(verdict: Verdict): string[] {
    const note = this.dump.kernel.types?.note;
    return [
      ...this.dump.warnings,
      ...(note === undefined ? [] : [note]),
      ...(verdict.outcome === 'unreadable' ? whyUnreadable(this.dump, verdict.address) : []),
    ];
  }

  #warnings(verdict: Verdict): string[] {
    const warnings: string[] = [];
    if (isClosed(this.#gate)) warnings.push(closedGate(this.#gate));
    const unknown = this.#options.gate === 'ignored' ? null : unknownGate(this.dump.kernel, this.#gate);
    if (unknown !== null) warnings.push(unknown);
    warnings.push(...this.#unknowns.filter(({ about }) => about === groundOf(verdict)).map(({ sentence }) => sentence));
    if (!this.#current) {
      const why =
        this.dump.task === null
          ? 'none of the dump has the stack on which the copy was refused'
          : 'no registers that lead to it';
      warnings.push(`the current task is not known (${why}): process stacks are not checked`);
    } else if (this.#needsDepth(verdict)) {
      if (!this.dump.atCheck) {
        warnings.push(
          `the CPU stands at ${place(this.dump)}, not at __check_object_size: what lies below the stack pointer and the offset are those of a call made ${callPlaceOf(this.dump, this.#current).fromCpu ? 'from there' : "near the end of the task's stack"}`,
        );
      }
      if (!this.#depth) {
        const why = this.#depthFailure === null ? '' : ` (${this.#depthFailure})`;
        warnings.push(
          `the stack that the kernel's check itself uses could not be learnt${why}: the offset is too large by it`,
        );
      }
    }
    return warnings;
  }
}

/** Verdicts of the page-span rules, and those where they would have been asked and found nothing. */
const BY_PAGES: readonly string[] = [
  ...['spans multiple pages', 'spans Reserved and non-Reserved pages', 'spans CMA and non-CMA pages'],
  ...['one page', 'Reserved or CMA pages', 'nothing objects', 'rodata', 'data'],
];

/** Which part of what is not known a verdict may depend on. */
function groundOf(verdict: Verdict): Unknown['about'] | null {
  if (verdict.outcome === 'unreadable') return null;
  if (verdict.by.startsWith('slab object')) return 'slab';
  return BY_PAGES.includes(verdict.by) ? 'pages' : null;
}

/** What a dump knows of bytes that it does not have. */
function whyUnreadable({ located, physical }: Dump, address: bigint): string[] {
  const found = located.memory.translate(address);
  if (!found) return [`${hex(address)} is not mapped, or its page table is not in the dump`];
  return physical.absence(found.physical) === 'left out'
    ? [`the page of ${hex(address)} was left out by the dumper (makedumpfile -d)`]
    : [];
}

/** The variant with the layout of the running kernel. */
function runningVariant({ variant, located }: Dump): Variant {
  const runningLayout = variant.dump?.runningLayout;
  if (!runningLayout) return variant;
  return {
    ...variant,
    layout: (kernel) => runningLayout(kernel, located.memory.tables),
  };
}

/** The task is found beforehand, by more ways than the check knows: it gets the task itself as base. */
function withCurrent(parameters: CheckParameters, dump: Dump, current: CurrentTaskFound | null): CheckParameters {
  const stack = dump.kernel.types?.hasStruct('task_struct')
    ? dump.kernel.types.struct('task_struct').offset('stack')
    : null;
  return {
    ...parameters,
    stack: {
      ...parameters.stack,
      current:
        current && stack !== null
          ? { kind: 'register', taskStack: { offset: stack, size: dump.kernel.bits / 8 } }
          : { kind: 'declared' },
    },
  };
}

function place({ kernel, variant, registers }: Dump): string {
  const pc = registers.get(variant.registers.pc);
  if (pc === undefined) return 'an unknown place';
  const found = kernel.symbols.find(pc);
  const where = found ? ` (${found.symbol.name}+${hex(found.offset)})` : '';
  return `${hex(pc)}${where}`;
}
