import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { Variant } from '../../arch/driver.js';
import { findVariant, variants } from '../../arch/index.js';
import { NEWEST_JUDGED, parseProfile } from '../../src/check/profiles.js';
import { profileForRelease, unreadTrees, vendorTrees } from '../../src/check/vendor-profiles.js';
import { profileOf } from '../../src/introspect/profile.js';
import { bytesOf } from '../../src/kernel/bytes.js';
import type { Kernel, KernelConfig, KernelSymbol, SymbolTable } from '../../src/kernel/kernel.js';
import { parseBanner } from '../../src/kernel/version.js';
import { packageFile } from '../../src/paths.js';

const x86 = findVariant('x86_64')!;
const TEXT = 0xffffffff81000000n;
const OLD = 'kernel memory %s attempt detected %s %p (%s) (%lu bytes)';
const NEW = 'Kernel memory %s attempt detected %s %s%s%s%s (offset %lu, size %lu)!';

interface Made {
  readonly release: string;
  readonly texts: readonly string[];
  /** Functions that __check_object_size() calls; `usercopy_abort` alone when absent, which each calls. */
  readonly calls?: readonly string[];
  /** Functions between: the first one is called by __check_object_size(), each by the one before, and the last one makes the calls. */
  readonly clones?: readonly string[];
  readonly config?: readonly string[];
  /** Value of the variable usercopy_fallback; none when absent. */
  readonly fallback?: number;
}

function tableOf(symbols: readonly KernelSymbol[]): SymbolTable {
  const all = (name: string) => symbols.filter((symbol) => symbol.name === name);
  return {
    count: symbols.length,
    source: 'kallsyms',
    address: (name) => all(name)[0]?.address,
    get: (name) => all(name)[0],
    all,
    find: (address) => {
      const symbol = symbols.find((one) => address >= one.address && address < one.address + one.size);
      return symbol && { symbol, offset: address - symbol.address };
    },
    [Symbol.iterator]: () => symbols[Symbol.iterator](),
  };
}

/** A kernel of x86_64 with these texts, whose check consists of calls: e8 and a distance. */
function made({ release, texts, calls = ['usercopy_abort'], clones = [], config, fallback }: Made): Kernel {
  const bytes = new Uint8Array(0x3000);
  const view = new DataView(bytes.buffer);
  const call = (at: number, target: number): void => {
    bytes[at] = 0xe8;
    view.setInt32(at + 1, target - (at + 5), true);
  };
  let check = 0x100;
  const symbols = [{ name: '__check_object_size', address: TEXT + BigInt(check), type: 'T', size: 0x100n }];
  for (const name of clones) {
    call(check, check + 0x100);
    check += 0x100;
    symbols.push({ name, address: TEXT + BigInt(check), type: 't', size: 0x100n });
  }
  calls.forEach((name, index) => {
    const target = 0x1000 + 0x10 * index;
    call(check + 8 * index, target);
    symbols.push({ name, address: TEXT + BigInt(target), type: 'T', size: 0x10n });
  });
  if (fallback !== undefined) {
    bytes[0x1800] = fallback;
    symbols.push({ name: 'usercopy_fallback', address: TEXT + 0x1800n, type: 'D', size: 1n });
  }
  bytes.set(bytesOf(texts.map((text) => `${text}\0`).join('')), 0x2000);
  const configuration: KernelConfig | null =
    config === undefined
      ? null
      : { get: (name) => (config.includes(name) ? 'y' : undefined), enabled: (name) => config.includes(name) };
  return {
    variant: 'x86_64',
    bits: 64,
    endian: 'little',
    segments: [{ address: TEXT, physical: null, bytes, size: BigInt(bytes.length) }],
    symbols: tableOf(symbols),
    types: null,
    version: parseBanner(`Linux version ${release} `)!,
    config: configuration,
    read: (address, length) => bytes.subarray(Number(address - TEXT), Number(address - TEXT) + length),
  };
}

const chosen = (of: Made) => profileOf(made(of), x86);

describe('the profile of a kernel', () => {
  it.each<[string, Made, string]>([
    ['RHEL 7: 4.8 rules in a 3.10 tree', { release: '3.10.0-862.el7.x86_64', texts: [OLD] }, '4.8,skip-vmalloc'],
    ['the same, of a vendor unknown', { release: '3.10.0-foo', texts: [OLD] }, '4.8,skip-vmalloc'],
    [
      'RHEL 9: the later file in a 5.14 tree',
      { release: '5.14.0-570.el9.x86_64', texts: [NEW, 'no area', 'page alloc'], calls: ['find_vmap_area'] },
      '6.1',
    ],
    [
      'the same where nobody knows the vendor',
      { release: '5.14.0-99-vendor', texts: [NEW, 'no area'], calls: ['find_vmap_area'] },
      '6.1',
    ],
    [
      'a 5.18 file in a 5.14 tree',
      { release: '5.14.0-9-vendor', texts: [NEW], config: ['ARCH_HAS_CURRENT_STACK_POINTER'] },
      '5.18',
    ],
    ['a 5.18 that has no depth rule', { release: '5.18.0', texts: [NEW], config: [] }, '5.0'],
    ['a build of RHEL 8 that was not read', { release: '4.18.0-80.el8.x86_64', texts: [NEW] }, '4.16'],
    [
      'RHEL 8 with its configuration',
      {
        release: '4.18.0-425.el8.x86_64',
        texts: [NEW],
        config: ['HARDENED_USERCOPY_FALLBACK', 'HARDENED_USERCOPY_PAGESPAN'],
      },
      // The texts of PAGESPAN are not there, whatever a configuration says.
      '4.16,wrap-last-byte,highmem,fallback',
    ],
    ['a candidate as Fedora names it', { release: '5.19.0-0.rc2.21.fc37.x86_64', texts: [] }, '5.19-rc'],
    ['RHEL 8', { release: '4.18.0-425.3.1.el8.x86_64', texts: [NEW] }, '4.16,wrap-last-byte,highmem'],
    ['a candidate', { release: '5.19.0-rc1', texts: [NEW, 'no area'], calls: ['find_vm_area'] }, '5.19-rc'],
    ['4.10', { release: '4.10.0', texts: [OLD], calls: ['is_vmalloc_or_module_addr'] }, '4.8'],
    ['4.10 that took 517e1fbeb65f', { release: '4.10.0', texts: [OLD] }, '4.8,unless-virt-addr-valid'],
    ['4.14.200', { release: '4.14.200', texts: [OLD] }, '4.8,unless-virt-addr-valid,wrap-last-byte,highmem'],
    ['new words in a 4.15 tree', { release: '4.15.0-213-generic', texts: [NEW] }, '4.16'],
    [
      'PAGESPAN, which only the texts show',
      { release: '5.4.0-vendor', texts: [NEW, 'spans multiple pages', 'spans Reserved and non-Reserved pages'] },
      '5.0,pagespan',
    ],
    [
      'PAGESPAN with the old words',
      {
        release: '4.9.300',
        texts: [OLD, '<spans multiple pages>', '<spans Reserved and non-Reserved pages>'],
        calls: ['is_vmalloc_or_module_addr'],
      },
      '4.8,pagespan,wrap-last-byte,highmem',
    ],
    [
      'the series of 2016, as ChromeOS 3.18 has it',
      { release: '3.18.0', texts: [OLD, '<spans multiple pages>', '<linear kernel text>'] },
      'v3-cma,skip-vmalloc,linear-text',
    ],
    [
      'the same without a linear alias of the text',
      { release: '3.18.0', texts: [OLD, '<spans multiple pages>'] },
      'v3-cma,skip-vmalloc',
    ],
    ['a fallback switched on by its parameter', { release: '5.10.0', texts: [NEW], fallback: 1 }, '5.0,fallback'],
    [
      'a fallback switched off by its parameter',
      { release: '5.10.0', texts: [NEW], fallback: 0, config: ['HARDENED_USERCOPY_FALLBACK'] },
      '5.0',
    ],
    ['a kernel that tells nothing', { release: '6.1.25', texts: [] }, '6.1,vmalloc-vmap-area'],
  ])('%s', (_name, of, profile) => {
    expect(chosen(of).profile).toEqual(parseProfile(profile));
  });

  it('whose message tells no address has rules that word it so', () => {
    const { profile, by } = chosen({
      release: '4.14.186',
      texts: ["kernel memory %s attempt detected %s '%s' (%lu bytes)"],
    });
    expect(profile).toEqual(parseProfile('4.8,no-address,unless-virt-addr-valid,wrap-last-byte,highmem'));
    expect(by).toContain("the text 'kernel memory %s attempt detected %s '%s''");
    expect(chosen({ release: '4.14.186', texts: [OLD] }).profile.name).not.toContain('no-address');
  });

  it('whose fallback cannot be read has that of its configuration', () => {
    const kernel = made({ release: '5.10.0', texts: [NEW], fallback: 0, config: ['HARDENED_USERCOPY_FALLBACK'] });
    expect(profileOf(kernel, x86).profile.name).toBe('5.0');
    const { profile, by } = profileOf({ ...kernel, read: () => undefined }, x86);
    expect(profile.name).toBe('5.0,fallback');
    expect(by).not.toContain('usercopy_fallback');
  });

  it('is not searched for its texts twice', () => {
    const kernel = made({ release: '5.10.0', texts: [NEW] });
    const before = profileOf(kernel, x86);
    kernel.segments[0]!.bytes.fill(0, 0x2000);
    expect(profileOf({ ...kernel, types: null }, x86)).toEqual(before);
  });

  describe('whose calls cannot be read', () => {
    const release = '4.9.100';
    const left = chosen({ release, texts: [OLD], calls: ['is_vmalloc_or_module_addr'] }).profile;
    const harmed = (
      change: (kernel: Kernel) => Partial<Kernel>,
      variant: Variant = x86,
      of: Made = { release, texts: [OLD] },
    ) => {
      const kernel = made(of);
      return profileOf({ ...kernel, ...change(kernel) }, variant);
    };
    const withSymbols = (change: (symbol: KernelSymbol) => KernelSymbol) => (kernel: Kernel) => ({
      symbols: tableOf([...kernel.symbols].map(change)),
    });
    const check = TEXT + 0x100n;

    it.each<[string, (kernel: Kernel) => Partial<Kernel>, Variant]>([
      ['of an architecture whose branches are not decoded', () => ({}), findVariant('ia64')!],
      [
        'without readable text',
        ({ read }) => ({ read: (at, length) => (at === check ? undefined : read(at, length)) }),
        x86,
      ],
      [
        'longer than any',
        withSymbols((symbol) => (symbol.address === check ? { ...symbol, size: 0x4001n } : symbol)),
        x86,
      ],
      ['without a size', withSymbols((symbol) => ({ ...symbol, size: 0n })), x86],
      [
        'in code that only looks like branches',
        withSymbols((symbol) => (symbol.address === check ? symbol : { ...symbol, address: symbol.address + 0x800n })),
        x86,
      ],
    ])('%s: the version is asked, and it is said', (_name, change, variant) => {
      const { profile, by } = harmed(change, variant);
      expect(profile).toEqual(left);
      expect(by).toContain('; what else its check calls could not be read');
    });

    it('keeps the highmem rule of its version', () => {
      const arm = findVariant('arm')!;
      const of = { release: '5.10.200', texts: [NEW], calls: ['kmap_to_page'] };
      const thumb = (kernel: Kernel) => ({
        bits: 32 as const,
        ...withSymbols((symbol) => ({ ...symbol, address: symbol.address + 2n }))(kernel),
      });
      expect(harmed(thumb, arm, of).profile.name).toBe('5.0');
    });
  });

  it.each([
    [['check_heap_object.isra.3']],
    [['check_heap_object', 'check_heap_object.part.12']],
    [['__check_object_size.part.0', 'check_heap_object.constprop.0.isra.1']],
    [['check_heap_object.isra.370.cold']],
  ])('is that of the clones of its check, too: %j', (clones) => {
    const release = '4.9.100';
    const calls = ['is_vmalloc_or_module_addr'];
    expect(chosen({ release, texts: [OLD], calls, clones }).profile).toEqual(
      chosen({ release, texts: [OLD], calls }).profile,
    );
    const { profile, by } = chosen({ release, texts: [OLD], clones });
    expect(profile.name).toBe('4.8,unless-virt-addr-valid');
    expect(by).toContain('no call of is_vmalloc_or_module_addr()');
  });

  it('is not that of functions that its check does not reach', () => {
    const of = {
      release: '4.9.100',
      texts: [OLD],
      calls: ['is_vmalloc_or_module_addr'],
      clones: ['check_stack_object'],
    };
    expect(chosen(of).by).not.toContain('a call of is_vmalloc_or_module_addr()');
  });

  it('says what it was chosen by', () => {
    const later = chosen({ release: '5.14.0-99-vendor', texts: [NEW, 'no area'], calls: ['find_vmap_area'] }).by;
    expect(later).toContain("the text 'no area', a call of find_vmap_area()");
    expect(later).toContain('not by the version (5.14.0-99-vendor), which stands for 5.0');
    expect(chosen({ release: '4.18.0-425.el8.x86_64', texts: [NEW] }).by).toContain('RHEL 8 is known to have');
    expect(chosen({ release: '6.1.25', texts: [] }).by).toBe(
      'the version (6.1.25): its contents hold none of the texts of the check',
    );
  });

  it('takes no longer text for one that it ends with, nor a call of something else', () => {
    expect(chosen({ release: '5.10.0', texts: [NEW, 'no area found'], calls: ['find_vmap_area'] }).profile.name).toBe(
      '5.0',
    );
    expect(chosen({ release: '4.10.0', texts: [OLD], calls: ['is_vmalloc_addr_unused'] }).profile.name).toBe(
      '4.8,unless-virt-addr-valid',
    );
  });
});

describe("vendors' trees", () => {
  it('have profiles that can be read, and a source', () => {
    for (const { profile, source } of vendorTrees) {
      if (profile !== null) expect(parseProfile(profile).name).toBe(profile);
      expect(source).not.toBe('');
    }
    // What nobody read and no report shows is not told.
    for (const { profile, source, shownBy } of vendorTrees) {
      if (source === null && shownBy === null) expect(profile).toBeNull();
    }
    expect(unreadTrees.length).toBeGreaterThan(0);
  });

  it('are told by releases, of builds that are theirs', () => {
    const treeOf = (release: string) => profileForRelease(parseBanner(`Linux version ${release} `)!).tree?.name ?? null;
    expect(treeOf('3.10.0-1160.119.1.el7.x86_64')).toBe('RHEL 7');
    expect(treeOf('5.14.0-162.6.1.el9_1.x86_64')).toBe('RHEL 9, earlier builds');
    expect(treeOf('5.14.0-421.el9.x86_64')).toBe('RHEL 9, later builds');
    expect(treeOf('5.14.0-421-generic')).toBeNull();
    expect(treeOf('4.18.0')).toBeNull();
    expect(treeOf('4.18.1-394.el8.x86_64')).toBeNull();
    expect(treeOf('4.18.0-80.el8.x86_64')).toBe('RHEL 8, earlier builds');
    expect(treeOf('3.10.0-123.el7.x86_64')).toBe('RHEL 7, earlier builds');
  });

  it('of which nothing was read leave it to the version, and say so', () => {
    expect(chosen({ release: '4.18.0-80.el8.x86_64', texts: [NEW] }).by).toContain(
      'the version (4.18.0-80.el8.x86_64; what RHEL 8, earlier builds may have taken back was not read)',
    );
  });

  it("are configured as mainline's", () => {
    const config = (...on: string[]): KernelConfig => ({
      get: (name) => (on.includes(name) ? 'y' : undefined),
      enabled: (name) => on.includes(name),
    });
    const profile = (release: string, ...on: string[]) =>
      profileForRelease(parseBanner(`Linux version ${release} `)!, config(...on)).profile.name;
    const options = ['HARDENED_USERCOPY_FALLBACK', 'HARDENED_USERCOPY_PAGESPAN'];
    expect(profile('3.10.0-1160.el7.x86_64', ...options)).toBe('4.8,skip-vmalloc,pagespan');
    expect(profile('4.18.0-425.el8.x86_64', ...options)).toBe('4.16,wrap-last-byte,highmem,pagespan,fallback');
    expect(profile('5.14.0-162.el9.x86_64', 'ARCH_HAS_CURRENT_STACK_POINTER')).toBe('5.18');
    expect(profile('5.14.0-162.el9.x86_64')).toBe('5.18,no-depth');
    expect(profile('5.14.0-427.el9.x86_64', ...options)).toBe('6.1,no-depth');
  });
});

/** Encodings out of the architectures' manuals; where each goes, counted from its own address. */
const CALLS: Readonly<Record<string, readonly (readonly [bytes: readonly number[], distance: bigint | null])[]>> = {
  x86_64: [
    [[0xe8, 0xfb, 0xff, 0xff, 0xff], 0n],
    [[0xe9, 0x00, 0x01, 0x00, 0x00], 0x105n],
    [[0xff, 0xd0, 0, 0, 0], null],
  ],
  arm64: [
    [[0x01, 0x00, 0x00, 0x94], 4n],
    [[0xff, 0xff, 0xff, 0x17], -4n],
    [[0xc0, 0x03, 0x5f, 0xd6], null],
  ],
  arm: [
    [[0x00, 0x00, 0x00, 0xeb], 8n],
    [[0xfe, 0xff, 0xff, 0x1a], 0n],
    [[0x1e, 0xff, 0x2f, 0xe1], null],
  ],
  ppc64le: [
    [[0x09, 0x00, 0x00, 0x48], 8n],
    [[0xfd, 0xff, 0xff, 0x4b], -4n],
    [[0x20, 0x00, 0x80, 0x4e], null],
  ],
  ppc: [[[0x4b, 0xff, 0xff, 0xfc], -4n]],
  s390x: [
    [[0xc0, 0xe5, 0x00, 0x00, 0x00, 0x04], 8n],
    [[0xc0, 0xf4, 0xff, 0xff, 0xff, 0xfe], -4n],
    [[0xc0, 0x10, 0x00, 0x00, 0x00, 0x04], null],
  ],
  mipsel: [
    // j and jal, by the address in the 256 MiB around them
    [[0x02, 0x00, 0x00, 0x08], 8n],
    [[0x02, 0x00, 0x00, 0x0c], 8n],
    // jr ra
    [[0x08, 0x00, 0xe0, 0x03], null],
  ],
  riscv64: [
    // jal
    [[0xef, 0xa0, 0x41, 0x2b], 0x1a2b4n],
    [[0xef, 0xf0, 0xdf, 0xff], -4n],
    // auipc ra, 1; jalr ra, -4(ra)
    [[0x97, 0x10, 0x00, 0x00, 0xe7, 0x80, 0xc0, 0xff], 0xffcn],
    // auipc t0, -1; jr t0
    [[0x97, 0xf2, 0xff, 0xff, 0x67, 0x80, 0x02, 0x00], -0x1000n],
    // auipc ra, 1; jalr ra, -4(t0)
    [[0x97, 0x10, 0x00, 0x00, 0xe7, 0x80, 0xc2, 0xff], null],
    // jalr ra
    [[0xe7, 0x80, 0x00, 0x00], null],
    // c.j
    [[0x5d, 0xa3], 0x5a6n],
    [[0xfd, 0xbf], -2n],
    // c.addi a0, 1
    [[0x05, 0x05], null],
  ],
  sparc64: [
    [[0x40, 0x00, 0x00, 0x02], 8n],
    [[0x7f, 0xff, 0xff, 0xff], -4n],
    [[0x81, 0xc3, 0xe0, 0x08], null],
  ],
};

describe.each(Object.entries(CALLS))('%s', (name, cases) => {
  it('has direct branches that are told from other instructions', () => {
    const { directBranch } = variants.find((variant: Variant) => variant.name === name)!;
    for (const [bytes, distance] of cases) {
      const target = directBranch.target(Uint8Array.from([0, 0, 0, 0, ...bytes]), 4, 0x4000_0000n - 4n);
      expect(target, bytes.join()).toBe(distance === null ? null : 0x4000_0000n + distance);
      expect(directBranch.target(Uint8Array.from(bytes.slice(0, -1)), 0, 0n)).toBeNull();
    }
  });
});

it('a kernel that is newer than those that have judged is told to be', () => {
  const of = (release: string) =>
    profileOf(made({ release, texts: [NEW, 'no area'], calls: ['find_vmap_area'] }), x86).by;
  expect(of('7.3.9')).not.toContain('newer');
  expect(of('7.4.0-rc1')).toMatch(/by the version \(7\.4\.0-rc1, newer than 7\.3, the newest that was judged\)/);
  // Which those are is written down by the script that has them judge.
  const rows: { release: string; lkdtm?: string }[] = JSON.parse(
    readFileSync(packageFile('docs/kernels.json'), 'utf8'),
  );
  const series = rows
    .filter(({ lkdtm }) => lkdtm)
    .map(({ release }) => release.split('.', 2).map((part) => Number.parseInt(part, 10)));
  const [major, minor] = series.sort(([a = 0, b = 0], [c = 0, d = 0]) => c - a || d - b)[0]!;
  expect(NEWEST_JUDGED).toEqual({ major, minor });
});
