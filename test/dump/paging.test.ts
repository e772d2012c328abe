/** Tables written by hand, entry by entry, from the processor manuals. */
import { describe, expect, it } from 'vitest';
import { translate as translateArm64 } from '../../arch/arm64/paging.js';
import type { PageTables } from '../../arch/dump.js';
import { translate as translateX86 } from '../../arch/x86/paging.js';

class Tables {
  readonly #words = new Map<bigint, bigint>();
  reads = 0;

  set(table: bigint, index: number, value: bigint): this {
    this.#words.set(table + BigInt(index) * 8n, value);
    return this;
  }

  readonly read = (address: bigint, length: number): Uint8Array | undefined => {
    this.reads++;
    const value = this.#words.get(address);
    if (value === undefined || length !== 8) return undefined;
    const bytes = new Uint8Array(8);
    new DataView(bytes.buffer).setBigUint64(0, value, true);
    return bytes;
  };
}

describe('the page tables of x86_64', () => {
  const four: PageTables = { root: 0x1000n, pageShift: 12, addressBits: 48 };
  // 0xffff888012345678: PML4 index 0x111, PDPT 0, PD 0x91, PT 0x145, offset 0x678.
  const address = 0xffff_8880_1234_5678n;

  it('lead to a 4 KiB page through four levels, whatever the flags around the frame say', () => {
    const tables = new Tables()
      .set(0x1000n, 0x111, 0x8000_0000_0000_2063n)
      .set(0x2000n, 0, 0x3067n)
      .set(0x3000n, 0x91, 0x4063n)
      .set(0x4000n, 0x145, 0x8070_0000_abcd_e163n);
    expect(translateX86(tables.read, four, address)).toEqual({ physical: 0xabcd_e678n, size: 4096n });
    expect(translateX86(tables.read, four, address + 0x1000n)).toBeNull();
  });

  it('lead to pages of 2 MiB and 1 GiB, whose PAT bit is no part of the address', () => {
    const tables = new Tables()
      .set(0x1000n, 0x111, 0x2003n)
      .set(0x2000n, 0, 0x3003n)
      .set(0x3000n, 0x91, 0x1_2340_0000n | 0x10e3n)
      .set(0x2000n, 1, 0x40_0000_0000n | 0x10e3n);
    expect(translateX86(tables.read, four, address)).toEqual({ physical: 0x1_2354_5678n, size: 1n << 21n });
    expect(translateX86(tables.read, four, 0xffff_8880_4000_0001n)).toEqual({
      physical: 0x40_0000_0001n,
      size: 1n << 30n,
    });
  });

  it('have a fifth level above when LA57 is on', () => {
    const five: PageTables = { ...four, addressBits: 57 };
    // 0xff11000000000000: PML5 index 0x111.
    const tables = new Tables()
      .set(0x1000n, 0x111, 0x2003n)
      .set(0x2000n, 0, 0x3003n)
      .set(0x3000n, 0, 0x4003n)
      .set(0x4000n, 0, 0x5003n)
      .set(0x5000n, 2, 0x9003n);
    expect(translateX86(tables.read, five, 0xff11_0000_0000_2010n)).toEqual({ physical: 0x9010n, size: 4096n });
  });

  it('do not map an address that is not canonical', () => {
    const tables = new Tables().set(0x1000n, 0x111, 0x2003n);
    expect(translateX86(tables.read, four, 0x0000_8880_1234_5678n)).toBeNull();
    expect(tables.reads).toBe(0);
  });

  it('that point at themselves end the walk after four steps', () => {
    const loop = new Tables();
    for (let index = 0; index < 512; index++) loop.set(0x1000n, index, 0x1003n);
    expect(translateX86(loop.read, four, address)?.physical).toBe(0x1678n);
    expect(loop.reads).toBe(4);
  });

  it('do not know a page at the topmost level', () => {
    expect(translateX86(new Tables().set(0x1000n, 0x111, 0x20e3n).read, four, address)).toBeNull();
  });
});

describe('the page tables of arm64', () => {
  const four: PageTables = { root: 0x1000n, pageShift: 12, addressBits: 48 };
  // 0xffff800012345678: level 0 index 0x100, 1: 0, 2: 0x91, 3: 0x145.
  const address = 0xffff_8000_1234_5678n;

  it('of 4 KiB and 48 bits have four levels', () => {
    const tables = new Tables()
      .set(0x1000n, 0x100, 0x2003n)
      .set(0x2000n, 0, 0x3003n)
      .set(0x3000n, 0x91, 0x4003n)
      .set(0x4000n, 0x145, 0x0068_0000_4567_8f07n);
    expect(translateArm64(tables.read, four, address)).toEqual({ physical: 0x4567_8678n, size: 4096n });
  });

  it('have blocks of 2 MiB and 1 GiB', () => {
    const tables = new Tables()
      .set(0x1000n, 0x100, 0x2003n)
      .set(0x2000n, 0, 0x3003n)
      .set(0x3000n, 0x91, 0x0068_0000_5000_0f05n)
      .set(0x2000n, 1, 0x0068_0000_8000_0f05n);
    expect(translateArm64(tables.read, four, address)).toEqual({ physical: 0x5014_5678n, size: 1n << 21n });
    expect(translateArm64(tables.read, four, 0xffff_8000_4000_0004n)).toEqual({
      physical: 0x8000_0004n,
      size: 1n << 30n,
    });
  });

  it('of 4 KiB and 39 bits begin at level 1', () => {
    const tables = new Tables().set(0x1000n, 0x100, 0x2003n).set(0x2000n, 0, 0x3003n).set(0x3000n, 1, 0x7003n);
    const short: PageTables = { ...four, addressBits: 39 };
    expect(translateArm64(tables.read, short, 0xffff_ffc0_0000_1008n)).toEqual({ physical: 0x7008n, size: 4096n });
  });

  it('of 16 KiB and 48 bits have a first level of two entries', () => {
    // 0xffff800012345678: level 0 (bit 47) 1, level 1 (46..36) 0, level 2 (35..25) 9, level 3 (24..14) 0xd1.
    const tables = new Tables()
      .set(0x4000n, 1, 0x8003n)
      .set(0x8000n, 0, 0xc003n)
      .set(0xc000n, 9, 0x1_0003n)
      .set(0x1_0000n, 0xd1, 0x2_0003n);
    const wide: PageTables = { root: 0x4000n, pageShift: 14, addressBits: 48 };
    expect(translateArm64(tables.read, wide, address)).toEqual({ physical: 0x2_1678n, size: 1n << 14n });
  });

  it('of 64 KiB carry bits 48 to 51 of the address in bits 12 to 15', () => {
    // 0xfff8000012345678 with 52 bits: level 1 (51..42) 0x200, level 2 (41..29) 0, level 3 (28..16) 0x1234.
    const tables = new Tables()
      .set(0x1_0000n, 0x200, 0x2_0003n)
      .set(0x2_0000n, 0, 0x3_5003n)
      .set(0x5_0000_0003_0000n, 0x1234, 0x4_2003n);
    const wide: PageTables = { root: 0x1_0000n, pageShift: 16, addressBits: 52 };
    expect(translateArm64(tables.read, wide, 0xfff8_0000_1234_5678n)).toEqual({
      physical: 0x2_0000_0004_5678n,
      size: 1n << 16n,
    });
  });

  it('look through a tag in the top byte, and have no user addresses', () => {
    const tables = new Tables()
      .set(0x1000n, 0x100, 0x2003n)
      .set(0x2000n, 0, 0x3003n)
      .set(0x3000n, 0x91, 0x5000_0f05n & ~2n);
    expect(translateArm64(tables.read, four, 0xf5ff_8000_1234_5678n)?.physical).toBe(0x5014_5678n);
    expect(translateArm64(tables.read, four, 0x0000_8000_1234_5678n)).toBeNull();
  });

  it('that point at themselves end the walk after four steps', () => {
    const loop = new Tables();
    for (let index = 0; index < 512; index++) loop.set(0x1000n, index, 0x1003n);
    expect(translateArm64(loop.read, four, address)?.physical).toBe(0x1678n);
    expect(loop.reads).toBe(4);
  });
});
