/** Finding a vmap area in the guest's trees (mm/vmalloc.c). */
import { Context, Kind, VmapKind } from './context';
import { quotient, remainder } from './division';
import { fault, loadWord, offsetOf, read32, readField, readWord, readWordHere, structure, windowOf } from './memory';
import { Unreadable } from './verdict';

/** A red-black tree of 2^60 areas is no deeper. */
const TREE_DEPTH_LIMIT: u32 = 128;
/** The kernel makes at most 128 nodes (vmap_init_nodes(), 6.9). */
const NODE_LIMIT: u64 = 1024;

/** Place of a vmap_area in linear memory, for `readField()`. */
@inline
export function areaAt(c: Context, area: u64): usize {
  return structure(c, Kind.AREA, area, c.areaFieldsEnd);
}

/** Whether all that is read of a node of the tree are words, as in every kernel. */
@inline
function haveWords(c: Context): bool {
  return (c.vaStart & c.vaEnd & c.rbLeft & c.rbRight) >>> 24 == c.wordBytes;
}

/** __find_vmap_area() below the node that the word at `root` points to; 0 when no area holds `address`. */
function findInTree(c: Context, kind: Kind, root: u64, address: u64): u64 {
  let node = readWordHere(c, kind, root);
  let rest = TREE_DEPTH_LIMIT;
  if (haveWords(c)) {
    // As far down as the window shows: nothing is asked anew at each node.
    const window = windowOf(c, Kind.AREA);
    const firstNode = window.start + c.vmapRbNode;
    const start = offsetOf(c.vaStart);
    const end = offsetOf(c.vaEnd);
    const left = <u32>c.vmapRbNode + offsetOf(c.rbLeft);
    const right = <u32>c.vmapRbNode + offsetOf(c.rbRight);
    for (; node && rest; rest--) {
      const delta = node - firstNode;
      if (delta >= window.room) break;
      const at = <usize>(window.offset + <u32>delta);
      if (address < loadWord(c, at + start)) node = loadWord(c, at + left);
      else if (address >= loadWord(c, at + end)) node = loadWord(c, at + right);
      else return node - c.vmapRbNode;
    }
  }
  for (; node && !c.fault; rest--) {
    if (!rest) {
      fault(c, Unreadable.CORRUPT, node);
      return 0;
    }
    const area = (node - c.vmapRbNode) & c.wordMask;
    const at = areaAt(c, area);
    let next: u32;
    if (address < readField(c, Kind.AREA, at, area, c.vaStart)) next = c.rbLeft;
    else if (address >= readField(c, Kind.AREA, at, area, c.vaEnd)) next = c.rbRight;
    else return area;
    node = readField(c, Kind.AREA, at ? at + <usize>c.vmapRbNode : 0, node, next);
  }
  return 0;
}

/** find_vmap_area() of 6.9 on: the tree of the address's zone first, then all the others. */
function findInNodes(c: Context, address: u64): u64 {
  const nodes = readWord(c, Kind.VARIABLE, c.vmapRoot);
  const count = read32(c, Kind.VARIABLE, c.vmapNodeCount);
  const zoneSize = read32(c, Kind.VARIABLE, c.vmapZoneSize);
  if (c.fault) return 0;
  if (!count || count > NODE_LIMIT) {
    fault(c, Unreadable.CORRUPT, c.vmapNodeCount);
    return 0;
  }
  if (!zoneSize) {
    fault(c, Unreadable.CORRUPT, c.vmapZoneSize);
    return 0;
  }
  let index = remainder(quotient(address, zoneSize), count);
  for (let i: u64 = 0; i < count && !c.fault; i++) {
    const node = nodes + index * c.vmapNodeSize;
    if (++index == count) index = 0;
    const area = findInTree(c, Kind.AREA, (node + (c.vmapBusyRoot & 0xffffff)) & c.wordMask, address);
    if (area) return area;
  }
  return 0;
}

/** Address of the struct vmap_area that holds `address`; 0 when there is none. */
export function findVmapArea(c: Context, address: u64): u64 {
  switch (c.vmapKind) {
    case VmapKind.TREE:
      return findInTree(c, Kind.VARIABLE, c.vmapRoot, address);
    case VmapKind.NODES:
      return findInNodes(c, address);
    default:
      return 0;
  }
}
