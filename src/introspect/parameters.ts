/** A kernel and its architecture, put into the terms of the check. */
import type { FrameLayout, MemoryLayout, Variant } from '../../arch/driver.js';
import type { AddressRange, CheckParameters, ProfileSwitches, Slot, StackParameters } from '../check/parameters.js';
import { UsercopyError } from '../errors.js';
import { noTypes } from '../image/offset-tables.js';
import type { Kernel } from '../kernel/kernel.js';
import { currentOffsetOf } from '../stack/entry-point.js';
import { introspectionOf } from './structures.js';

export interface ParameterOptions {
  readonly switches: ProfileSwitches;
  /** Walk frames (`--frames`) or not, whatever the profile says; as the kernel does when neither says. */
  readonly frames?: boolean;
  /** Only declared memory is judged: the kernel's types and structures are not asked for. */
  readonly declaredOnly?: boolean;
  /** See `StackParameters`; bytes. 0 when they are not known: the stack pointer at the entry is used. */
  readonly depthOfCheck?: bigint;
  readonly depthOfPrint?: bigint;
}

/** The kernel as it stands in some memory (a guest's RAM, a dump): same symbols and types, other bytes. */
export function withMemory(kernel: Kernel, read: (address: bigint, length: number) => Uint8Array | undefined): Kernel {
  return Object.freeze({ ...kernel, read });
}

function rangeOf(kernel: Kernel, start: string, end: string): AddressRange | null {
  const from = kernel.symbols.address(start);
  const to = kernel.symbols.address(end);
  return from === undefined || to === undefined || to <= from ? null : { start: from, end: to };
}

/** `lm_alias()` of the text: where the linear map shows the same bytes; null where that is the same address. */
function linearAlias(text: AddressRange | null, layout: MemoryLayout): AddressRange | null {
  if (text === null || layout.imageHasLinearAlias === false) return null;
  const linear = layout.linearMaps.find((map) => map.virtual === layout.pageOffset);
  if (!linear) return null;
  const start = BigInt.asUintN(64, text.start - layout.imageOffset - linear.physical + linear.virtual);
  return start === text.start ? null : { start, end: start + (text.end - text.start) };
}

function stackParameters(kernel: Kernel, variant: Variant, options: ParameterOptions): StackParameters {
  const word = kernel.bits / 8;
  const taskStack = (): Slot => {
    if (kernel.types === null) {
      throw noTypes('task_struct.stack', kernel.version.release);
    }
    return { offset: kernel.types.struct('task_struct').offset('stack'), size: word };
  };
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

/**
 * Everything the check has to know of a kernel. `kernel.read` must show the memory that is judged (`withMemory`), since
 * some of the layout is kept in variables.
 * @throws UsercopyError `bad-input` when the kernel lacks a symbol or type that its own check would use.
 */
export function checkParametersOf(kernel: Kernel, variant: Variant, options: ParameterOptions): CheckParameters {
  const layout = variant.layout(kernel);
  const text = rangeOf(kernel, '_stext', '_etext');
  return {
    bits: kernel.bits,
    endian: kernel.endian,
    pageShift: layout.pageShift,
    switches: { ...options.switches, depth: options.switches.depth && variant.hasCurrentStackPointer },
    text,
    linearText: linearAlias(text, layout),
    rodata: rangeOf(kernel, '__start_rodata', '__end_rodata'),
    data: rangeOf(kernel, '_sdata', '_edata'),
    bss: rangeOf(kernel, '__bss_start', '__bss_stop'),
    taskSize: layout.taskSize,
    stack: stackParameters(kernel, variant, options),
    introspection: options.declaredOnly ? null : introspectionOf(kernel, layout),
  };
}
