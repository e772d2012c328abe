/** A task: how the check finds it, its stack and the frames on it. */
import type { FrameLayout, Variant } from '../../arch/driver.js';
import type { ProfileSwitches, Slot, StackParameters } from '../check/parameters.js';
import { UsercopyError } from '../errors.js';
import type { Kernel } from '../kernel/kernel.js';
import { requireTypes } from '../kernel/require-types.js';
import { currentOffsetOf } from '../stack/entry-point.js';

export interface StackOptions {
  readonly switches: Pick<ProfileSwitches, 'frames'>;
  /** Walk frames (`--frames`) or not, whatever the profile says; as the kernel does when neither says. */
  readonly frames?: boolean | undefined;
  /** Only declared memory is judged: the kernel's types and structures are not asked for. */
  readonly declaredOnly?: boolean | undefined;
  /** See `StackParameters`; bytes. 0 when they are not known: the stack pointer at the entry is used. */
  readonly depthOfCheck?: bigint | undefined;
  readonly depthOfPrint?: bigint | undefined;
}

export function stackParameters(kernel: Kernel, variant: Variant, options: StackOptions): StackParameters {
  const word = kernel.bits / 8;
  const taskStack = (): Slot => ({
    offset: requireTypes(kernel, 'task_struct.stack').struct('task_struct').offset('stack'),
    size: word,
  });
  const wanted = options.frames ?? options.switches.frames ?? variant.frames.checkedByKernel(kernel);
  return {
    threadSize: variant.threadSize(kernel),
    current: options.declaredOnly ? { kind: 'declared' } : currentOf(kernel, variant, taskStack),
    depthOfCheck: options.depthOfCheck ?? 0n,
    depthOfPrint: options.depthOfPrint ?? 0n,
    frames: wanted ? frameParameters(kernel, variant) : null,
  };
}

function frameParameters(kernel: Kernel, variant: Variant): NonNullable<StackParameters['frames']> {
  const layout = variant.frames.layout(kernel);
  if (layout === null) {
    throw new UsercopyError(
      'bad-input',
      `frames: expected a kernel that links its stack frames, found that ${kernel.version.release} (${variant.name}) was built without`,
    );
  }
  return frameParametersOf(layout, variant);
}

/** What the check needs of a layout to walk frames. */
export function frameParametersOf(layout: FrameLayout, variant: Variant): NonNullable<StackParameters['frames']> {
  const { savedFrame, header, bias } = layout;
  return { savedFrame, header, bias, entryToCaller: entryToCaller(layout, variant) };
}

/** The caller's bytes begin at its stack pointer, or behind the record that lies there. */
function entryToCaller({ kind, header, bias }: FrameLayout, { call, bits }: Variant): number {
  if (kind !== 'frame pointers') return bias + header;
  return (call.pushesReturnAddress ? bits / 8 : 0) + (call.stackBias ?? 0);
}

function currentOf(kernel: Kernel, variant: Variant, taskStack: () => Slot): StackParameters['current'] {
  const { current } = variant;
  switch (current.kind) {
    case 'register':
      return { kind: 'register', taskStack: taskStack() };
    case 'masked stack pointer':
      return { kind: 'masked stack pointer' };
    case 'memory': {
      const offset = currentOffsetOf(kernel, current);
      if (offset === undefined) {
        throw new UsercopyError(
          'bad-input',
          `kernel ${kernel.version.release}: expected a symbol ${current.symbols.join(' or ')} that leads to the current task, found none`,
        );
      }
      return { kind: 'memory', offset, taskStack: taskStack() };
    }
  }
}
