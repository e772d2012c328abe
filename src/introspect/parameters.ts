/** A kernel and its architecture, put into the terms of the check. */

import type { MemoryLayout, Variant } from '../../arch/driver.js';
import type { AddressRange, CheckParameters, ProfileSwitches } from '../check/parameters.js';
import type { Kernel } from '../kernel/kernel.js';
import {
  aBoolean,
  aKernel,
  anObject,
  aVariant,
  aWord,
  type OptionRule,
  requireFields,
  requireOptions,
  requireValue,
} from '../options.js';
import { introspectionOf } from './structures.js';
import { type StackOptions, stackParameters } from './task.js';

export interface ParameterOptions extends StackOptions {
  readonly switches: ProfileSwitches;
}

const RULES: Readonly<Record<keyof ParameterOptions, OptionRule>> = {
  switches: anObject,
  frames: aBoolean,
  declaredOnly: aBoolean,
  depthOfCheck: aWord,
  depthOfPrint: aWord,
};

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

/**
 * Everything the check has to know of a kernel. `kernel.read` must show the memory that is judged (`withMemory`), since
 * some of the layout is kept in variables.
 * @throws UsercopyError `bad-input` when the kernel lacks a symbol or type that its own check would use.
 */
export function checkParametersOf(kernel: Kernel, variant: Variant, options: ParameterOptions): CheckParameters {
  requireValue('checkParametersOf: kernel', kernel, aKernel);
  requireValue('checkParametersOf: variant', variant, aVariant);
  requireOptions('checkParametersOf', options, RULES);
  requireFields('checkParametersOf', options, { switches: RULES.switches });
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
