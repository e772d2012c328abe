import type { Slot, StackParameters } from '../../../src/check/parameters.js';
import type { CopyRegisters } from '../oracle.js';
import { GuestBuilder } from './builder.js';
import type { Layout } from './layout.js';
import type { Random } from './random.js';
import type { Region } from './world.js';

interface StackSetting {
  readonly layout: Layout;
  readonly wordBytes: number;
  readonly mask: bigint;
  readonly boundaries: bigint[];
  readonly ram: bigint;
  readonly pageBytes: number;
}

interface StackOfWorld {
  readonly stack: StackParameters;
  readonly registers: CopyRegisters;
  readonly regions: readonly Region[];
}

/** A task with its stack and a chain of frames on it; the stack lies in vmalloc space or in RAM. */
export function stackOf(random: Random, kernel: GuestBuilder, setting: StackSetting): StackOfWorld {
  const { layout, wordBytes, boundaries } = setting;
  const threadSize = BigInt(random.pick([8192, 16384, 32768]));
  const inRam = random.chance(0.3);
  const unaligned = inRam ? setting.ram + BigInt(20 * setting.pageBytes) : layout.vmalloc + 0x80_0000n;
  const start = (unaligned + threadSize - 1n) & ~(threadSize - 1n);
  const end = start + threadSize;
  const memory = new GuestBuilder(start, Number(threadSize), wordBytes, false);
  const stackPointer = start + BigInt(random.between(64, Number(threadSize) / 2) & ~7);
  boundaries.push(start, start, end, end, stackPointer, stackPointer);

  const frames: bigint[] = [];
  for (let at = stackPointer + BigInt(random.pick([0, 16, 64])); at < end - 64n && frames.length < 6; ) {
    frames.push(at);
    at += BigInt(random.between(4, 40) * wordBytes);
  }
  boundaries.push(...frames, ...frames.map((frame) => frame + BigInt(2 * wordBytes)));

  const taskStack: Slot = { offset: random.pick([8, 24, 64]), size: wordBytes };
  const task = kernel.allocate(128, 8);
  kernel.storeField(task, taskStack, start);
  kernel.store(task, 4, random.chance(0.2) ? 1n : 0n);
  const kind = random.pick(['register', 'memory', 'masked stack pointer', 'declared'] as const);
  let current: StackParameters['current'];
  let currentBase = task;
  if (kind === 'memory') {
    const offset = random.pick([0n, 0x40n]);
    const cell = kernel.allocate(64 + wordBytes + 8, 8);
    kernel.storeWord(cell + offset, task);
    current = { kind, offset, taskStack };
    currentBase = cell;
  } else if (kind === 'register') {
    current = { kind, taskStack };
  } else {
    current = { kind };
  }
  const framePointer =
    frames.length > 0 && random.chance(0.9) ? random.pick(frames.slice(0, 2)) : random.word() & setting.mask;
  return {
    stack: {
      threadSize,
      current,
      depthOfCheck: BigInt(random.pick([0, 0, 64, 136])),
      depthOfPrint: BigInt(random.pick([0, 0, 48])),
      frames: random.chance(0.35)
        ? { savedFrame: 0, header: 2 * wordBytes, entryToCaller: random.pick([0, wordBytes]), bias: 0 }
        : null,
    },
    registers: { stackPointer, framePointer, currentBase },
    regions: [chain(memory, frames, wordBytes, kernel)],
  };
}

/** Links each frame to the next and ends the chain with 0, in the byte order of `kernel`. */
function chain(stack: GuestBuilder, frames: readonly bigint[], wordBytes: number, kernel: GuestBuilder): Region {
  frames.forEach((frame, i) => {
    const scratch = kernel.allocate(wordBytes, wordBytes);
    kernel.storeWord(scratch, frames[i + 1] ?? 0n);
    const from = Number(scratch - kernel.address);
    stack.bytes.set(kernel.bytes.subarray(from, from + wordBytes), Number(frame - stack.address));
  });
  return { address: stack.address, bytes: stack.bytes };
}
