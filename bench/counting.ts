/**
 * What counting costs kernel code: x86-64 functions called in a loop of the guest, without counting, with it, and with
 * estimated cycles. Debian's kernel where it can be had, else the built-in guest.
 */
import { drivers } from '../arch/index.js';
import type { BlockPricer, RunOptions } from '../src/engine/engine.js';
import { UsercopyError } from '../src/errors.js';
import { Guest } from '../src/guest/guest.js';
import { fetchKernel } from '../src/image/fetch.js';
import { loadKernel } from '../src/image/load.js';
import { loadOwnKernel, startOwnGuest } from '../src/scenario/own.js';
import { type Effort, measure, type Task } from './measure.js';
import { present } from './present.js';
import type { Group, Line } from './report.js';

const AIM_INSTRUCTIONS = 1.5;
const AIM_CYCLES = 1.6;
/** Guest instructions in a sample, about. */
const SAMPLE = 2_000_000;

/** Calls rbp with the arguments in r12 to r15 (the fourth again as the fifth and sixth), rbx times. */
const LOOP = Uint8Array.of(
  ...[0x4c, 0x89, 0xe7, 0x4c, 0x89, 0xee, 0x4c, 0x89, 0xf2], // mov rdi, r12; mov rsi, r13; mov rdx, r14
  ...[0x4c, 0x89, 0xf9, 0x4d, 0x89, 0xf8, 0x4d, 0x89, 0xf9], // mov rcx, r15; mov r8, r15; mov r9, r15
  ...[0x31, 0xc0, 0xff, 0xd5, 0x48, 0xff, 0xcb], //             xor eax, eax; call rbp; dec rbx
  ...[0x75, 0xe5, 0x90], //                                     jnz to the start; nop
);

interface Call {
  readonly name: string;
  /** No kernel code on the whole, but the worst that there is. */
  readonly worst?: true;
  readonly symbol: string;
  readonly arguments: readonly [bigint, bigint, bigint, bigint];
}

/** One price for everything: what is measured is the adding. */
const price: BlockPricer = ({ instructions }) => instructions / 2;
const modes: readonly (readonly [string, Omit<RunOptions, 'start' | 'until'>])[] = [
  ['not counted', {}],
  ['instructions', { countInstructions: true }],
  ['instructions and cycles', { cycles: price }],
];

export async function countingGroup(effort: Effort): Promise<Group> {
  const title = 'Counting, on kernel code (x86-64)';
  let guest: Guest | undefined;
  try {
    const { calls, ...made } = await prepare();
    guest = made.guest;
    const code = guest.memory.allocate(0x1000n);
    guest.engine.write(code, LOOP);
    const lines: Line[] = [];
    for (const call of calls) lines.push(...(await measureCall(guest, code, call, effort)));
    return { title, lines, notes: [`kernel ${guest.kernel.version.release}`], skipped: null };
  } catch (error) {
    if (error instanceof UsercopyError && error.kind === 'missing-dependency') {
      return { title, lines: [], notes: [], skipped: error.message };
    }
    throw error;
  } finally {
    guest?.close();
  }
}

async function prepare(): Promise<{ guest: Guest; calls: Call[] }> {
  const common = (guest: Guest): Call => ({
    name: "the kernel's check, stack",
    symbol: '__check_object_size',
    arguments: [guest.stackPointer + 64n, 32n, 1n, 0n],
  });
  let path: string;
  try {
    ({ path } = await fetchKernel('x86_64', { release: 'bookworm' }));
  } catch (error) {
    if (!(error instanceof UsercopyError && error.kind === 'missing-dependency')) throw error;
    const guest = await startOwnGuest(await loadOwnKernel('x86_64'));
    return { guest, calls: [common(guest)] };
  }
  const guest = await Guest.create(await loadKernel({ path }, { drivers }));
  const buffer = guest.memory.allocate(0x1000n);
  const format = guest.memory.allocate(0x1000n);
  const word = format + 0x800n;
  guest.memory.write(format, Buffer.from('usercopy: Kernel memory %s attempt detected %s SLUB object %s\0'));
  guest.memory.write(word, Buffer.from('kmalloc-64\0'));
  const user = guest.user.address;
  return {
    guest,
    calls: [
      common(guest),
      { name: 'snprintf', symbol: 'snprintf', arguments: [buffer, 400n, format, word] },
      { name: 'copy of 64 bytes', symbol: '_copy_to_user', arguments: [user, buffer, 64n, 0n] },
      { name: 'copy of 4096 bytes', symbol: '_copy_to_user', arguments: [user, buffer, 4096n, 0n] },
      { name: 'strlen, three instructions a block', worst: true, symbol: 'strlen', arguments: [format, 0n, 0n, 0n] },
    ],
  };
}

async function measureCall(guest: Guest, code: bigint, call: Call, effort: Effort): Promise<Line[]> {
  const { engine } = guest;
  const address = guest.symbol(call.symbol);
  const [r12, r13, r14, r15] = call.arguments;
  const run = (turns: number, options: Omit<RunOptions, 'start' | 'until'>) => {
    engine.writeRegisters({ rsp: guest.stackPointer, rbp: address, rbx: BigInt(turns), r12, r13, r14, r15 });
    const result = engine.runSync({ start: code, until: code + BigInt(LOOP.length - 1), ...options });
    if (result.reason !== 'until') throw new UsercopyError('engine', `${call.symbol} ended with ${result.reason}`);
    return result.instructions;
  };
  const turns = Math.max(1, Math.round(SAMPLE / present(run(1, { countInstructions: true }))));
  const tasks = modes.map(
    ([name, options]): Task => ({
      name: `${call.name}: ${name}`,
      unit: 'call',
      units: turns,
      // Processor time: samples of a busy machine's wall clock differ by more than what is looked for.
      run() {
        const before = process.cpuUsage();
        run(turns, options);
        const { user, system } = process.cpuUsage(before);
        return (user + system) / 1000;
      },
    }),
  );
  const measured = await measure(tasks, effort);
  return measured.map((line, index): Line => {
    const value = line.nanoseconds / present(measured[0]).nanoseconds;
    if (index === 0) return { ...line, ratio: null, aim: null };
    const aim = 'cycles' in present(modes[index])[1] ? AIM_CYCLES : AIM_INSTRUCTIONS;
    return {
      ...line,
      ratio: { to: 'not counted', value },
      aim: call.worst ? null : { text: `≤ ${aim} ×`, met: value <= aim },
    };
  });
}
