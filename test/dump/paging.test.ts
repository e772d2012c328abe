/** Tables written by hand, entry by entry, from the processor manuals. */
import { describe, expect, it } from 'vitest';
import { LPAE, translate as translateArm } from '../../arch/arm/paging.js';
import { translate as translateArm64 } from '../../arch/arm64/paging.js';
import type { PageTables } from '../../arch/dump.js';
import { translate as translateIa64 } from '../../arch/ia64/paging.js';
import { HASH, RADIX, translate as translatePpc64 } from '../../arch/powerpc/paging64.js';
import { translate as translateRiscv } from '../../arch/riscv/paging.js';
import { translate as translateX86 } from '../../arch/x86/paging.js';
import { PAE, translate as translateI386 } from '../../arch/x86/paging32.js';

class Tables {
  readonly #words = new Map<bigint, bigint>();
  readonly #width: 4 | 8;
  readonly #little: boolean;
  reads = 0;

  constructor(width: 4 | 8 = 8, little = true) {
    this.#width = width;
    this.#little = little;
  }

  set(table: bigint, index: number, value: bigint): this {
    this.#words.set(table + BigInt(index * this.#width), value);
    return this;
  }

  readonly read = (address: bigint, length: number): Uint8Array | undefined => {
    this.reads++;
    const value = this.#words.get(address);
    if (value === undefined || length !== this.#width) return undefined;
    const bytes = new Uint8Array(length);
    const view = new DataView(bytes.buffer);
    if (length === 8) view.setBigUint64(0, value, this.#little);
    else view.setUint32(0, Number(value), this.#little);
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

describe('the page tables of riscv64', () => {
  const three: PageTables = { root: 0x1000n, pageShift: 12, addressBits: 39 };
  // 0xffffffd812345678: level 2 index 0x160, 1: 0x91, 0: 0x145.
  const address = 0xffff_ffd8_1234_5678n;
  const table = (frame: bigint): bigint => (frame << 10n) | 1n;
  /** V, R, W, A, D, G. */
  const leaf = (frame: bigint): bigint => (frame << 10n) | 0xe7n;

  it('have three levels in Sv39, four in Sv48 and five in Sv57', () => {
    const tables = new Tables().set(0x2000n, 0x91, table(3n)).set(0x3000n, 0x145, leaf(0x4567_8n));
    const page = { physical: 0x4567_8678n, size: 4096n };
    tables.set(0x1000n, 0x160, table(2n));
    expect(translateRiscv(tables.read, three, address)).toEqual(page);
    // 0xffffaf8012345678: level 3 index 0x15f, 2: 0.
    tables.set(0x4000n, 0x15f, table(5n)).set(0x5000n, 0, table(2n));
    expect(translateRiscv(tables.read, { ...three, root: 0x4000n, addressBits: 48 }, 0xffff_af80_1234_5678n)).toEqual(
      page,
    );
    // 0xff60000012345678: level 4 index 0x160, 3: 0, 2: 0.
    tables.set(0x6000n, 0x160, table(7n)).set(0x7000n, 0, table(5n));
    expect(translateRiscv(tables.read, { ...three, root: 0x6000n, addressBits: 57 }, 0xff60_0000_1234_5678n)).toEqual(
      page,
    );
  });

  it('have leaves of 2 MiB and 1 GiB, and of 64 KiB by Svnapot', () => {
    const tables = new Tables().set(0x1000n, 0x160, table(2n)).set(0x2000n, 0x91, leaf(0x5_0000n));
    expect(translateRiscv(tables.read, three, address)).toEqual({ physical: 0x5014_5678n, size: 1n << 21n });
    tables.set(0x1000n, 0x161, leaf(0x8_0000n));
    expect(translateRiscv(tables.read, three, 0xffff_ffd8_4000_0004n)).toEqual({
      physical: 0x8000_0004n,
      size: 1n << 30n,
    });
    // The lowest four bits of the frame, 1000, say sixteen pages; 0x145 is the fifth of them.
    tables.set(0x2000n, 0x91, table(3n)).set(0x3000n, 0x145, (1n << 63n) | leaf(0x7_0008n));
    expect(translateRiscv(tables.read, three, address)).toEqual({ physical: 0x7000_5678n, size: 1n << 16n });
  });

  it('end where an entry is not valid, leads nowhere, or an address repeats its highest bit wrongly', () => {
    const tables = new Tables().set(0x1000n, 0x160, table(2n)).set(0x2000n, 0x91, leaf(0x5_0000n) & ~1n);
    expect(translateRiscv(tables.read, three, address)).toBeNull();
    tables.set(0x2000n, 0x91, table(3n)).set(0x3000n, 0x145, table(4n));
    expect(translateRiscv(tables.read, three, address)).toBeNull();
    tables.set(0x3000n, 0x145, leaf(5n));
    expect(translateRiscv(tables.read, three, address)?.physical).toBe(0x5678n);
    expect(translateRiscv(tables.read, three, address & ~(1n << 63n))).toBeNull();
    expect(translateRiscv(tables.read, three, 0x58_1234_5678n)).toBeNull();
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

describe('the page tables of i386', () => {
  const two: PageTables = { root: 0x1000n, pageShift: 12, addressBits: 32 };
  const pae: PageTables = { ...two, root: 0x1020n, format: PAE };
  // 0xc1234567: directory index 0x304, table 0x234, offset 0x567.
  const address = 0xc123_4567n;

  it('lead to a 4 KiB page through two levels of 4-byte entries', () => {
    const tables = new Tables(4).set(0x1000n, 0x304, 0x2063n).set(0x2000n, 0x234, 0x89ab_c163n);
    expect(translateI386(tables.read, two, address)).toEqual({ physical: 0x89ab_c567n, size: 4096n });
    expect(translateI386(tables.read, two, address + 4096n)).toBeNull();
    expect(translateI386(new Tables(4).set(0x1000n, 0x304, 0x2062n).read, two, address)).toBeNull();
  });

  it('lead to pages of 4 MiB, with bits 32 to 39 of the address in bits 13 to 20 (PSE-36)', () => {
    const plain = new Tables(4).set(0x1000n, 0x304, 0x0140_01e3n);
    expect(translateI386(plain.read, two, address)).toEqual({ physical: 0x0163_4567n, size: 1n << 22n });
    const high = new Tables(4).set(0x1000n, 0x304, 0x0140_01e3n | (0x0fn << 13n));
    expect(translateI386(high.read, two, address)?.physical).toBe(0x0f_0163_4567n);
  });

  it('of PAE begin with four entries of 8 bytes, aligned to 32 bytes', () => {
    // 0xc1234567: pointer 3, directory 9, table 0x34.
    const tables = new Tables()
      .set(0x1020n, 3, 0x2001n)
      .set(0x2000n, 9, 0x3063n)
      .set(0x3000n, 0x34, 0x8000_0001_2345_6163n);
    expect(translateI386(tables.read, pae, address)).toEqual({ physical: 0x1_2345_6567n, size: 4096n });
    const large = new Tables().set(0x1020n, 3, 0x2001n).set(0x2000n, 9, 0x8000_0002_1120_01e3n);
    expect(translateI386(large.read, pae, address)).toEqual({ physical: 0x2_1123_4567n, size: 1n << 21n });
  });

  it('do not map what lies above 4 GiB', () => {
    expect(translateI386(new Tables(4).set(0x1000n, 0x304, 0x1e3n).read, two, address + (1n << 32n))).toBeNull();
  });
});

describe('the page tables of 32-bit arm', () => {
  const short: PageTables = { root: 0x4000n, pageShift: 12, addressBits: 32 };
  const long: PageTables = { root: 0x3000n, pageShift: 12, addressBits: 32, format: LPAE };
  // 0xc1234567: first-level index 0xc12, second 0x34.
  const address = 0xc123_4567n;

  it('of short descriptors have sections of 1 MiB, whose execute-never bits are no part of the type', () => {
    const tables = new Tables(4).set(0x4000n, 0xc12, 0x4120_941en);
    expect(translateArm(tables.read, short, address)).toEqual({ physical: 0x4123_4567n, size: 1n << 20n });
    // PXN is bit 0 of a section.
    expect(translateArm(new Tables(4).set(0x4000n, 0xc12, 0x4120_0403n).read, short, address)?.physical).toBe(
      0x4123_4567n,
    );
  });

  it('of short descriptors have supersections of 16 MiB with 40-bit addresses', () => {
    const tables = new Tables(4).set(0x4000n, 0xc12, 0x42a0_0002n | (1n << 18n) | (0x5n << 5n));
    expect(translateArm(tables.read, short, address)).toEqual({ physical: 0x5a_4223_4567n, size: 1n << 24n });
  });

  it('of short descriptors have tables of 1 KiB with pages of 4 KiB and 64 KiB', () => {
    const tables = new Tables(4).set(0x4000n, 0xc12, 0x0000_8c11n).set(0x8c00n, 0x34, 0x4567_845fn);
    expect(translateArm(tables.read, short, address)).toEqual({ physical: 0x4567_8567n, size: 4096n });
    const large = new Tables(4).set(0x4000n, 0xc12, 0x0000_8c11n).set(0x8c00n, 0x34, 0x4567_8451n);
    expect(translateArm(large.read, short, address)).toEqual({ physical: 0x4567_4567n, size: 1n << 16n });
    const fault = new Tables(4).set(0x4000n, 0xc12, 0x0000_8c11n).set(0x8c00n, 0x34, 0n);
    expect(translateArm(fault.read, short, address)).toBeNull();
  });

  it('of LPAE have three levels, pages of 4 KiB and blocks of 2 MiB', () => {
    // level 1: 3, level 2: 9, level 3: 0x34.
    const tables = new Tables()
      .set(0x3000n, 3, 0x7003n)
      .set(0x7000n, 9, 0x8003n)
      .set(0x8000n, 0x34, 0x0060_0012_3456_7743n);
    expect(translateArm(tables.read, long, address)).toEqual({ physical: 0x12_3456_7567n, size: 4096n });
    const block = new Tables().set(0x3000n, 3, 0x7003n).set(0x7000n, 9, 0x0060_0000_4120_0711n);
    expect(translateArm(block.read, long, address)).toEqual({ physical: 0x4123_4567n, size: 1n << 21n });
    const reserved = new Tables().set(0x3000n, 3, 0x7003n).set(0x7000n, 9, 0x8003n).set(0x8000n, 0x34, 0x4120_0711n);
    expect(translateArm(reserved.read, long, address)).toBeNull();
  });
});

describe('the page tables of Book3S-64', () => {
  const radix: PageTables = { root: 0x1_0000n, pageShift: 16, addressBits: 52, format: RADIX };
  const hash: PageTables = { ...radix, format: HASH };
  // 0xc008000012345678: 13 bits 0x1000 (51..39), then 9 bits 0 (38..30), 9 bits 0x91 (29..21), 5 bits 0x14 (20..16).
  const address = 0xc008_0000_1234_5678n;
  const valid = 1n << 63n;
  const leaf = valid | (1n << 62n);

  it('of radix say how large the next table is, in big endian whatever the kernel', () => {
    const tables = new Tables(8, false)
      .set(0x1_0000n, 0x1000, valid | 0x2_0000n | 9n)
      .set(0x2_0000n, 0, valid | 0x3_0000n | 9n)
      .set(0x3_0000n, 0x91, valid | 0x4_0000n | 5n)
      .set(0x4_0000n, 0x14, leaf | 0x1_2345_0000n | 0x18en);
    expect(translatePpc64(tables.read, radix, address)).toEqual({ physical: 0x1_2345_5678n, size: 1n << 16n });
    const small = new Tables(8, false)
      .set(0x1_0000n, 0x1000, valid | 0x2_0000n | 9n)
      .set(0x2_0000n, 0, valid | 0x3_0000n | 9n)
      .set(0x3_0000n, 0x91, valid | 0x4_0000n | 9n)
      .set(0x4_0000n, 0x145, leaf | 0x1_2345_6000n);
    expect(translatePpc64(small.read, radix, address)).toEqual({ physical: 0x1_2345_6678n, size: 4096n });
  });

  it('of radix have pages of 2 MiB and 1 GiB', () => {
    const tables = new Tables(8, false)
      .set(0x1_0000n, 0x1000, valid | 0x2_0000n | 9n)
      .set(0x2_0000n, 0, valid | 0x3_0000n | 9n)
      .set(0x2_0000n, 1, leaf | 0x8000_0000n)
      .set(0x3_0000n, 0x91, leaf | 0x4000_0000n);
    expect(translatePpc64(tables.read, radix, address)).toEqual({ physical: 0x4014_5678n, size: 1n << 21n });
    expect(translatePpc64(tables.read, radix, 0xc008_0000_4000_0010n)).toEqual({
      physical: 0x8000_0010n,
      size: 1n << 30n,
    });
  });

  it('of radix end at a table that says no size, at loops, and outside the kernel’s quadrant', () => {
    const blank = new Tables(8, false).set(0x1_0000n, 0x1000, valid | 0x2_0000n);
    expect(translatePpc64(blank.read, radix, address)).toBeNull();
    const loop = new Tables(8, false);
    for (let index = 0; index < 8192; index++) loop.set(0x1_0000n, index, valid | 0x1_0000n | 9n);
    expect(translatePpc64(loop.read, radix, address)).toBeNull();
    expect(loop.reads).toBeLessThanOrEqual(4);
    expect(translatePpc64(loop.read, radix, 0x0008_0000_1234_5678n)).toBeNull();
  });

  it('of hash have vmalloc only: the linear map is the address itself', () => {
    // 64 KiB pages: 8 bits (51..44) 0x80, 10 bits (43..34) 0, 10 bits (33..24) 0x12, 8 bits (23..16) 0x34.
    const tables = new Tables(8, false)
      .set(0x1_0000n, 0x80, valid | 0x2_0000n)
      .set(0x2_0000n, 0, valid | 0x3_0000n)
      .set(0x3_0000n, 0x12, valid | 0x4_0000n)
      .set(0x4_0000n, 0x34, leaf | 0x7_0000n | 0x105n);
    expect(translatePpc64(tables.read, hash, address)).toEqual({ physical: 0x7_5678n, size: 1n << 16n });
    expect(translatePpc64(tables.read, hash, 0xc000_0000_1234_5678n)?.physical).toBe(0x1234_5678n);
    expect(translatePpc64(tables.read, hash, address + 0x1_0000n)).toBeNull();
  });
});

describe('the page tables of ia64', () => {
  const three: PageTables = { root: 0x4000n, pageShift: 14, addressBits: 47 };
  /** Present, accessed, dirty, readable and writable, and bit 52: exception deferral. */
  const flags = 0x10_0000_0000_0661n;
  // 0xa000123456789abc: bits 46..36 0x123, 35..25 0x22b, 24..14 0x1e2, offset 0x1abc.
  const address = 0xa000_1234_5678_9abcn;

  it('of 16 KiB have three levels of 2048 entries, whose first one knows no region', () => {
    const tables = new Tables()
      .set(0x4000n, 0x123, 0x8000n)
      .set(0x8000n, 0x22b, 0xc000n)
      .set(0xc000n, 0x1e2, 0x1_2345_8000n | flags);
    expect(translateIa64(tables.read, three, address)).toEqual({ physical: 0x1_2345_9abcn, size: 1n << 14n });
    expect(translateIa64(tables.read, three, address + 0x4000n)).toBeNull();
    // An address beyond what they map is refused by the miss handler.
    expect(translateIa64(tables.read, three, address + (1n << 47n))).toBeNull();
    tables.set(0xc000n, 0x1e2, 0x1_2345_8000n | (flags & ~1n));
    expect(translateIa64(tables.read, three, address)).toBeNull();
  });

  it('of four levels have one more of the same size, and of 64 KiB 8192 entries', () => {
    const tables = new Tables()
      .set(0x4000n, 5, 0x10_0000n)
      .set(0x10_0000n, 0x123, 0x8000n)
      .set(0x8000n, 0x22b, 0xc000n)
      .set(0xc000n, 0x1e2, 0x1_2345_8000n | flags);
    const four = { ...three, addressBits: 58 };
    expect(translateIa64(tables.read, four, address + (5n << 47n))?.physical).toBe(0x1_2345_9abcn);
    // Bits 54..42 0x4, 41..29 0x11a2, 28..16 0x1678, offset 0x9abc.
    const large = new Tables()
      .set(0x1_0000n, 0x4, 0x2_0000n)
      .set(0x2_0000n, 0x11a2, 0x3_0000n)
      .set(0x3_0000n, 0x1678, 0x7_0000n | flags);
    expect(translateIa64(large.read, { root: 0x1_0000n, pageShift: 16, addressBits: 55 }, address)).toEqual({
      physical: 0x7_9abcn,
      size: 1n << 16n,
    });
  });

  it('are not asked for regions 6 and 7, which are memory, nor for those of users', () => {
    const none = new Tables();
    expect(translateIa64(none.read, three, 0xe000_0001_2345_6789n)?.physical).toBe(0x1_2345_6789n);
    expect(translateIa64(none.read, three, 0xc000_0001_2345_6789n)?.physical).toBe(0x1_2345_6789n);
    // PERCPU_ADDR is a translation register's; physical addresses have 50 bits.
    expect(translateIa64(none.read, three, 0xffff_ffff_fffc_0000n)).toBeNull();
    expect(translateIa64(none.read, three, 0x8000_0001_2345_6789n)).toBeNull();
    expect(none.reads).toBe(0);
  });
});
