/**
 * Reading guest memory. An address that no region covers (and that the host cannot read) is a fault: the first one is
 * kept in the context, the read gives 0, and the final verdict says so. No read can leave the regions. Guests have fields
 * at odd addresses: their loads promise no alignment (`load(…, 0, 1)`), which wasm2js takes at its word.
 */
import { Context, Region } from './context';
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

function search(c: Context, address: u64, length: u64): usize {
  let low: u32 = 0;
  let high: u32 = c.regionCount;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const region = changetype<Region>(<usize>c.regions + <usize>middle * offsetof<Region>());
    const delta = address - region.start;
    if (address < region.start) high = middle;
    else if (delta >= region.size) low = middle + 1;
    else {
      if (region.size - delta < length) return 0;
      c.previousRegion = c.lastRegion;
      c.lastRegion = <u32>changetype<usize>(region);
      return <usize>(region.offset + <u32>delta);
    }
  }
  return 0;
}

/** Struct pages and what they point to take turns: the region before the last one is the likeliest. */
function placeElsewhere(c: Context, address: u64, length: u64): usize {
  const region = changetype<Region>(<usize>c.previousRegion);
  const delta = address - region.start;
  if (delta >= region.size || region.size - delta < length) return search(c, address, length);
  return <usize>(region.offset + <u32>delta);
}

/** Place of `length` guest bytes in linear memory; 0 when one region does not hold them all. */
@inline
function place(c: Context, address: u64, length: u64): usize {
  const region = changetype<Region>(<usize>c.lastRegion);
  const delta = address - region.start;
  if (delta < region.size && region.size - delta >= length) return <usize>(region.offset + <u32>delta);
  return placeElsewhere(c, address, length);
}

/** The slow way: bytes from the host, or from regions that meet inside the field. */
function collect(c: Context, address: u64, length: u32): usize {
  const scratch = changetype<usize>(c) + offsetof<Context>('scratch');
  if (c.hostReads && hostRead(<u32>address, <u32>(address >> 32), length, <u32>scratch)) return scratch;
  for (let i: u32 = 0; i < length; i++) {
    const at = (address + i) & c.wordMask;
    const from = place(c, at, 1);
    if (from) store<u8>(scratch + i, load<u8>(from));
    else if (!c.hostReads || !hostRead(<u32>at, <u32>(at >> 32), 1, <u32>(scratch + i))) {
      fault(c, Unreadable.MISSING, at);
      return 0;
    }
  }
  return scratch;
}

@inline
function locate(c: Context, address: u64, length: u32): usize {
  const at = place(c, address, length);
  return at ? at : collect(c, address, length);
}

export function read64(c: Context, address: u64): u64 {
  const at = locate(c, address, 8);
  if (!at) return 0;
  const value = load<u64>(at, 0, 1);
  return c.bigEndian ? bswap<u64>(value) : value;
}

export function read32(c: Context, address: u64): u64 {
  const at = locate(c, address, 4);
  if (!at) return 0;
  const value = load<u32>(at, 0, 1);
  return c.bigEndian ? bswap<u32>(value) : value;
}

export function read8(c: Context, address: u64): u64 {
  const at = locate(c, address, 1);
  return at ? load<u8>(at) : 0;
}

/** An `unsigned long` of the guest. */
@inline
export function readWord(c: Context, address: u64): u64 {
  return c.wordBytes == 8 ? read64(c, address) : read32(c, address);
}

/** Address of a slot in the structure at `base`. */
@inline
export function slotAddress(c: Context, base: u64, slot: u32): u64 {
  return (base + (slot & 0xffffff)) & c.wordMask;
}

@inline
function loadField(c: Context, at: usize, size: u32): u64 {
  if (size == 8) return c.bigEndian ? bswap<u64>(load<u64>(at, 0, 1)) : load<u64>(at, 0, 1);
  if (size == 4) return c.bigEndian ? bswap<u32>(load<u32>(at, 0, 1)) : load<u32>(at, 0, 1);
  if (size == 2) return c.bigEndian ? bswap<u16>(load<u16>(at, 0, 1)) : load<u16>(at, 0, 1);
  return load<u8>(at);
}

/**
 * Place in linear memory of a structure whose fields end before `bytes`; 0 when one region does not hold it, and its
 * fields are looked for one by one.
 */
@inline
export function structure(c: Context, base: u64, bytes: u32): usize {
  return place(c, base, bytes);
}

/** The field `slot` of the structure at `base`, which `structure()` found at `at`. */
@inline
export function readField(c: Context, at: usize, base: u64, slot: u32): u64 {
  if (!at) return readSlot(c, base, slot);
  const size = slot >>> 24;
  return size ? loadField(c, at + (slot & 0xffffff), size) : 0;
}

/** The field `slot` of the structure at `base`, zero-extended; 0 when there is no such field. */
export function readSlot(c: Context, base: u64, slot: u32): u64 {
  const size = slot >>> 24;
  if (!size) return 0;
  const at = locate(c, slotAddress(c, base, slot), size);
  if (!at) return 0;
  return loadField(c, at, size);
}

/** Whether a static key is on: `static_key_count()` takes a count below 0, of a key being turned on, for 1. Its first member is an atomic_t. */
export function staticKeyEnabled(c: Context, key: u64): bool {
  return read32(c, key) != 0;
}
