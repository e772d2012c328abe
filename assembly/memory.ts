/**
 * Reading guest memory. An address that no region covers (and that the host cannot read) is a fault: the first one is
 * kept in the context, the read gives 0, and the final verdict says so. No read can leave the regions. Guests have fields
 * at odd addresses: their loads promise no alignment (`load(…, 0, 1)`), which wasm2js takes at its word.
 */
import { Context, Kind, Region, Window, WindowPlace } from './context';
import { Unreadable } from './verdict';

/** Copies `length` guest bytes to linear memory at `destination`; nonzero when they were there. */
@external('host', 'read')
declare function hostRead(addressLow: u32, addressHigh: u32, length: u32, destination: u32): i32;

/** Gives up because of `address`; only the first reason is kept. */
export function fault(c: Context, reason: Unreadable, address: u64): void {
  if (c.fault) return;
  c.fault = reason;
  c.faultAddress = address;
}

/** The region that holds an address; null when none does. */
function regionOf(c: Context, address: u64): Region | null {
  let low: u32 = 0;
  let high: u32 = c.regionCount;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const region = changetype<Region>(<usize>c.regions + <usize>middle * offsetof<Region>());
    if (address < region.start) high = middle;
    else if (address - region.start >= region.size) low = middle + 1;
    else return region;
  }
  return null;
}

/** Where a window does not show an address: from now on it shows the region that does. */
function placeElsewhere(c: Context, window: Window, address: u64, length: u64): usize {
  const region = regionOf(c, address);
  if (!region) return 0;
  const delta = address - region.start;
  const reach = <u64>window.reach;
  if (region.size - delta < length) return 0;
  if (length <= reach && reach <= region.size) {
    window.start = region.start;
    window.room = region.size - reach + 1;
    window.offset = region.offset;
  }
  return <usize>(region.offset + <u32>delta);
}

@inline
export function windowOf(c: Context, kind: Kind): Window {
  return changetype<Window>(changetype<usize>(c) + <usize>WindowPlace.OFFSET + <usize>kind * offsetof<Window>());
}

/** Place of `length` guest bytes in linear memory, no more than the kind's reach; 0 when one region does not hold them all. */
@inline
function place(c: Context, kind: Kind, address: u64, length: u64): usize {
  const window = windowOf(c, kind);
  const delta = address - window.start;
  if (delta < window.room) return <usize>(window.offset + <u32>delta);
  return placeElsewhere(c, window, address, length);
}

/** The slow way: bytes from the host, or from regions that meet inside the field. */
function collect(c: Context, address: u64, length: u32): usize {
  const scratch = changetype<usize>(c) + offsetof<Context>('scratch');
  if (c.hostReads && hostRead(<u32>address, <u32>(address >> 32), length, <u32>scratch)) return scratch;
  for (let i: u32 = 0; i < length; i++) {
    const at = (address + i) & c.wordMask;
    const region = regionOf(c, at);
    if (region) store<u8>(scratch + i, load<u8>(<usize>(region.offset + <u32>(at - region.start))));
    else if (!c.hostReads || !hostRead(<u32>at, <u32>(at >> 32), 1, <u32>(scratch + i))) {
      fault(c, Unreadable.MISSING, at);
      return 0;
    }
  }
  return scratch;
}

@inline
function locate(c: Context, kind: Kind, address: u64, length: u32): usize {
  const at = place(c, kind, address, length);
  return at ? at : collect(c, address, length);
}

@inline
function load64(c: Context, at: usize): u64 {
  const value = load<u64>(at, 0, 1);
  return c.bigEndian ? bswap<u64>(value) : value;
}

@inline
function load32(c: Context, at: usize): u64 {
  const value = load<u32>(at, 0, 1);
  return c.bigEndian ? bswap<u32>(value) : value;
}

@inline
export function read32(c: Context, kind: Kind, address: u64): u64 {
  const at = locate(c, kind, address, 4);
  return at ? load32(c, at) : 0;
}

export function read8(c: Context, kind: Kind, address: u64): u64 {
  const at = locate(c, kind, address, 1);
  return at ? load<u8>(at) : 0;
}

/** An `unsigned long` of the guest, at a place in linear memory. */
@inline
export function loadWord(c: Context, at: usize): u64 {
  return c.wordBytes == 8 ? load64(c, at) : load32(c, at);
}

/** An `unsigned long` of the guest. */
@inline
export function readWordHere(c: Context, kind: Kind, address: u64): u64 {
  const at = locate(c, kind, address, c.wordBytes);
  return at ? loadWord(c, at) : 0;
}

/** The same where speed matters less than the size of the code. */
export function readWord(c: Context, kind: Kind, address: u64): u64 {
  return readWordHere(c, kind, address);
}

/** Bytes from a structure's start to the field of a slot. */
@inline
export function offsetOf(slot: u32): u32 {
  return slot & 0xffffff;
}

/** Address of a slot in the structure at `base`. */
@inline
export function slotAddress(c: Context, base: u64, slot: u32): u64 {
  return (base + offsetOf(slot)) & c.wordMask;
}

@inline
function loadField(c: Context, at: usize, size: u32): u64 {
  if (size == 8) return load64(c, at);
  if (size == 4) return load32(c, at);
  if (size == 2) return c.bigEndian ? bswap<u16>(load<u16>(at, 0, 1)) : load<u16>(at, 0, 1);
  return load<u8>(at);
}

/**
 * Place in linear memory of a structure whose fields end before `bytes`, the kind's reach at most; 0 when one region does not hold
 * it, and its fields are looked for one by one.
 */
@inline
export function structure(c: Context, kind: Kind, base: u64, bytes: u32): usize {
  return place(c, kind, base, bytes);
}

/** The field `slot` of the structure at `base`, which `structure()` found at `at`. */
@inline
export function readField(c: Context, kind: Kind, at: usize, base: u64, slot: u32): u64 {
  if (!at) return readSlot(c, kind, base, slot);
  const size = slot >>> 24;
  return size ? loadField(c, at + offsetOf(slot), size) : 0;
}

/** The field `slot` of the structure at `base`, zero-extended; 0 when there is no such field. */
@inline
export function readSlotHere(c: Context, kind: Kind, base: u64, slot: u32): u64 {
  const size = slot >>> 24;
  if (!size) return 0;
  const at = locate(c, kind, slotAddress(c, base, slot), size);
  return at ? loadField(c, at, size) : 0;
}

/** The same where speed matters less than the size of the code. */
export function readSlot(c: Context, kind: Kind, base: u64, slot: u32): u64 {
  return readSlotHere(c, kind, base, slot);
}

/** Whether a static key is on: `static_key_count()` takes a count below 0, of a key being turned on, for 1. Its first member is an atomic_t. */
@inline
export function staticKeyEnabled(c: Context, key: u64): bool {
  return read32(c, Kind.VARIABLE, key) != 0;
}
