/** Areas of vmalloc. */
import type { Introspection, VmapAreaSlots } from '../check/parameters.js';
import type { Kernel, TypeTable } from '../kernel/kernel.js';
import { slot } from './fields.js';

const VM_NO_GUARD = 0x40n;

function vmapAreaSlots(types: TypeTable): VmapAreaSlots {
  const area = types.struct('vmap_area');
  const node = types.struct('rb_node');
  const vm = types.struct('vm_struct');
  return {
    vaStart: slot(area, 'va_start'),
    vaEnd: slot(area, 'va_end'),
    rbNode: area.offset('rb_node'),
    rbLeft: slot(node, 'rb_left'),
    rbRight: slot(node, 'rb_right'),
    vm: slot(area, 'vm'),
    vmSize: slot(vm, 'size'),
    vmFlags: slot(vm, 'flags'),
    noGuard: VM_NO_GUARD,
  };
}

/**
 * Where areas are found: spread over nodes by address since d093602919ad "mm: vmalloc: remove global vmap_area_root
 * rb-tree" (6.9), in one tree before.
 */
export function vmapFacts(kernel: Kernel, types: TypeTable): Introspection['vmap'] {
  const address = (symbol: string): bigint | undefined => kernel.symbols.address(symbol);
  const nodes = address('vmap_nodes');
  const count = address('nr_vmap_nodes');
  const zoneSize = address('vmap_zone_size');
  if (nodes !== undefined && count !== undefined && zoneSize !== undefined && types.hasStruct('vmap_node')) {
    const node = types.struct('vmap_node');
    return {
      kind: 'nodes',
      nodes,
      count,
      zoneSize,
      nodeSize: node.size,
      busyRoot: slot(node, 'busy.root.rb_node'),
      area: vmapAreaSlots(types),
    };
  }
  const root = address('vmap_area_root');
  return root === undefined ? { kind: 'none' } : { kind: 'tree', root, area: vmapAreaSlots(types) };
}
