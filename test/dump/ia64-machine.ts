/**
 * A machine of ia64, made by hand as Linux 6.1 lays its memory out (arch/ia64/include/asm/pgtable.h, page.h, elf.h): pages of
 * 16 KiB, three levels of tables, SPARSEMEM_VMEMMAP. No real dump was to be had. Structures are those of the built-in guests,
 * whose types it carries; `struct mem_section` and the list of tasks, which they lack, are added.
 */
import { readFileSync } from 'node:fs';
import type { Kernel } from '../../src/kernel/kernel.js';
import { buildCore } from './core-builder.js';

export const KERNEL_START = 0xa000_0001_0000_0000n;
/** It is linked for 64 MiB, and was put elsewhere. */
export const KERNEL_PHYSICAL = 0x800_0000n;
export const CACHED = 0xe000_0000_0000_0000n;
export const VMALLOC_START = 0xa000_0002_0000_0000n;
/** The upper half of what three levels of tables map: 2^46 bytes into region 5. */
const VMEMMAP = 0xa000_4000_0000_0000n;
const PAGE = 0x4000;
const BANNER = 'Linux version 6.1.0-ia64 (by hand) #1 SMP\n';

const SYMBOLS = {
  _text: 0n,
  _stext: 0n,
  __check_object_size: 0x200n,
  _etext: 0x4000n,
  __start_rodata: 0x4000n,
  linux_banner: 0x4100n,
  __end_rodata: 0x8000n,
  _sdata: 0x8000n,
  mem_section: 0x8000n,
  vmap_area_root: 0x8010n,
  init_task: 0x9000n,
  swapper_pg_dir: 0xc000n,
  _edata: 0x1_0000n,
  __bss_start: 0x1_0000n,
  __bss_stop: 0x1_0000n,
  _end: 0x1_0000n,
} as const;
const IMAGE_BYTES = 0x1_0000;

/** Physical addresses of pages. */
const AT = {
  vmallocMiddle: 0x4000,
  vmallocLast: 0x8000,
  vmemmapMiddle: 0xc000,
  vmemmapLast: 0x1_0000,
  structPages: 0x1_4000,
  sectionRoots: 0x1_8000,
  sections: 0x1_c000,
  slab: 0x2_0000,
  structures: 0x2_4000,
  vmallocPage: 0x2_8000,
  task: 0x3_0000,
  imageStructPages: 0x3_c000,
  end: 0x4_0000,
};
export const SLAB = CACHED + BigInt(AT.slab);
export const STACK = CACHED + BigInt(AT.task);
export const THREAD_BYTES = 0x8000n;
/** Memory without a page in the dump that says what it is. */
export const UNTOLD = CACHED + 0x40_0000n;

/** Types of the built-in guest, with what a kernel of SPARSEMEM has beside them. */
function types(btf: Buffer): Buffer {
  const header = btf.readUInt32LE(4);
  const typeLength = btf.readUInt32LE(12);
  const records = Buffer.from(btf.subarray(header, header + typeLength));
  const strings = btf.subarray(header + btf.readUInt32LE(16), header + btf.readUInt32LE(16) + btf.readUInt32LE(20));
  const added = Buffer.from('mem_section\0section_mem_map\0pad\0tasks\0');
  const nameOf = (name: string): number => strings.length + added.indexOf(`${name}\0`);
  const stringAt = (at: number): string => strings.toString('latin1', at, strings.indexOf(0, at));
  // Documentation/bpf/btf.rst: bytes behind struct btf_type, by kind.
  const fixed: Readonly<Record<number, number>> = { 1: 4, 3: 12, 14: 4, 17: 4 };
  const each: Readonly<Record<number, number>> = { 4: 12, 5: 12, 6: 8, 13: 8, 15: 12, 19: 12 };
  let word = 0;
  for (let at = 0, id = 1; at < records.length; id++) {
    const name = stringAt(records.readUInt32LE(at));
    const info = records.readUInt32LE(at + 4);
    const kind = (info >>> 24) & 31;
    const count = info & 0xffff;
    if (kind === 1 && records.readUInt32LE(at + 8) === 8 && word === 0) word = id;
    at += 12;
    if (kind === 4 && name === 'task_struct') {
      for (let member = at; member < at + count * 12; member += 12) {
        if (stringAt(records.readUInt32LE(member)) === 'next_task') records.writeUInt32LE(nameOf('tasks'), member);
      }
    }
    at += (fixed[kind] ?? 0) + (each[kind] ?? 0) * count;
  }
  const section = Buffer.alloc(12 + 2 * 12);
  const members = [nameOf('section_mem_map'), word, 0, nameOf('pad'), word, 64];
  for (const [index, value] of [nameOf('mem_section'), (4 << 24) | 2, 16, ...members].entries()) {
    section.writeUInt32LE(value, index * 4);
  }
  const head = Buffer.from(btf.subarray(0, header));
  head.writeUInt32LE(0, 8);
  head.writeUInt32LE(records.length + section.length, 12);
  head.writeUInt32LE(records.length + section.length, 16);
  head.writeUInt32LE(strings.length + added.length, 20);
  return Buffer.concat([head, records, section, strings, added]);
}

/** The bytes of a section of an ELF file of 64 bits. */
function sectionOf(path: string, wanted: string): Buffer {
  const file = readFileSync(path);
  const table = Number(file.readBigUInt64LE(40));
  const header = (index: number): number => table + index * file.readUInt16LE(58);
  const bytesAt = (at: number): Buffer => {
    const start = Number(file.readBigUInt64LE(at + 24));
    return file.subarray(start, start + Number(file.readBigUInt64LE(at + 32)));
  };
  const names = bytesAt(header(file.readUInt16LE(62)));
  for (let index = 0; index < file.readUInt16LE(60); index++) {
    const name = file.readUInt32LE(header(index));
    if (names.toString('latin1', name, names.indexOf(0, name)) === wanted) return bytesAt(header(index));
  }
  throw new Error(`${path} has no section ${wanted}`);
}

/** An ELF file of type EXEC with the image as its segment, symbols and types. */
function vmlinux(image: Buffer, btf: Buffer): Buffer {
  const entries = Object.entries(SYMBOLS);
  const names = entries.map(([name]) => name);
  const strings = Buffer.from(`\0${names.join('\0')}\0`);
  const symbols = Buffer.alloc(24 * (names.length + 1));
  for (const [index, [name, address]] of entries.entries()) {
    const at = 24 * (index + 1);
    symbols.writeUInt32LE(strings.indexOf(`\0${name}\0`) + 1, at);
    // Global; a function or an object.
    symbols[at + 4] = 0x10 | (name.startsWith('__check') ? 2 : 1);
    symbols.writeUInt16LE(1, at + 6);
    symbols.writeBigUInt64LE(KERNEL_START + address, at + 8);
  }
  const sectionNames = ['', '.text', '.BTF', '.symtab', '.strtab', '.shstrtab'];
  const nameTable = Buffer.from(`${sectionNames.join('\0')}\0`);
  const contents = [Buffer.alloc(0), image, btf, symbols, strings, nameTable];
  const kinds = [0, 1, 1, 2, 3, 3];
  let offset = 64 + 56;
  const offsets = contents.map((bytes) => {
    offset = Math.ceil(offset / 16) * 16;
    const at = offset;
    offset += bytes.length;
    return at;
  });
  const table = Math.ceil(offset / 16) * 16;
  const file = Buffer.alloc(table + 64 * contents.length);
  file.write('\x7fELF\x02\x01\x01', 'latin1');
  file.writeUInt16LE(2, 16);
  file.writeUInt16LE(50, 18);
  file.writeUInt32LE(1, 20);
  file.writeBigUInt64LE(KERNEL_START, 24);
  file.writeBigUInt64LE(64n, 32);
  file.writeBigUInt64LE(BigInt(table), 40);
  for (const [index, value] of [64, 56, 1, 64, contents.length, contents.length - 1].entries()) {
    file.writeUInt16LE(value, 52 + index * 2);
  }
  // PT_LOAD, readable, writable and executable.
  file.writeUInt32LE(1, 64);
  file.writeUInt32LE(7, 68);
  const segment = [
    BigInt(offsets[1]!),
    KERNEL_START,
    0x400_0000n,
    BigInt(image.length),
    BigInt(image.length),
    0x1_0000n,
  ];
  for (const [index, value] of segment.entries()) file.writeBigUInt64LE(value, 72 + index * 8);
  for (const [index, bytes] of contents.entries()) {
    const at = table + index * 64;
    file.writeUInt32LE(nameTable.indexOf(`\0${sectionNames[index]}\0`) + 1 || 0, at);
    file.writeUInt32LE(kinds[index]!, at + 4);
    if (index === 1) file.writeBigUInt64LE(7n, at + 8);
    if (index === 1) file.writeBigUInt64LE(KERNEL_START, at + 16);
    file.writeBigUInt64LE(BigInt(offsets[index]!), at + 24);
    file.writeBigUInt64LE(BigInt(bytes.length), at + 32);
    if (index === 3) {
      file.writeUInt32LE(4, at + 40);
      file.writeUInt32LE(1, at + 44);
      file.writeBigUInt64LE(24n, at + 56);
    }
    file.set(bytes, offsets[index]!);
  }
  return file;
}

export interface Ia64Machine {
  readonly vmlinux: Uint8Array;
  /** `notes`: with VMCOREINFO. `ip`: where the CPU stands. */
  core(options?: { readonly notes?: boolean; readonly ip?: bigint }): Uint8Array;
}

/** `guest`: the built-in kernel whose types are taken, and where its file is. */
export function ia64Machine(guest: Kernel, path: string): Ia64Machine {
  const offsetOf = (struct: string, member: string): number => guest.types!.struct(struct).offset(member);
  const low = Buffer.alloc(AT.end);
  const image = Buffer.alloc(IMAGE_BYTES);
  const long = (at: number, value: bigint): void => void low.writeBigUInt64LE(value, at);
  const cached = (physical: number): bigint => CACHED + BigInt(physical);
  image.write(BANNER, Number(SYMBOLS.linux_banner), 'latin1');
  const file = vmlinux(image, types(sectionOf(path, '.BTF')));

  // Present, accessed, dirty, readable and writable, with exception deferral.
  const leaf = (physical: number): bigint => BigInt(physical) | 0x10_0000_0000_0661n;
  const directory = Number(SYMBOLS.swapper_pg_dir);
  // Bits 46..36 of the address, 35..25, 24..14: vmalloc begins at 0, 256, 0 and vmemmap at 1024, 0, 0.
  image.writeBigUInt64LE(BigInt(AT.vmallocMiddle), directory);
  long(AT.vmallocMiddle + 256 * 8, BigInt(AT.vmallocLast));
  long(AT.vmallocLast, leaf(AT.vmallocPage));
  long(AT.vmallocLast + 8, leaf(AT.vmallocPage + PAGE));
  image.writeBigUInt64LE(BigInt(AT.vmemmapMiddle), directory + 1024 * 8);
  long(AT.vmemmapMiddle, BigInt(AT.vmemmapLast));
  // 256 pages of 64 bytes each: memory up to 4 MiB, and that of the kernel image from 128 MiB on.
  long(AT.vmemmapLast, leaf(AT.structPages));
  long(AT.vmemmapLast + 32 * 8, leaf(AT.imageStructPages));

  // SPARSEMEM_EXTREME: a table of tables; section 0, of 1 GiB, has a map, is online and early.
  image.writeBigUInt64LE(cached(AT.sectionRoots), Number(SYMBOLS.mem_section));
  long(AT.sectionRoots, cached(AT.sections));
  long(AT.sections, VMEMMAP | 0b1111n);

  // A cache of 128 bytes, of which 16 to 79 may be copied.
  const cache = AT.structures;
  const member = (name: string): number => cache + offsetOf('kmem_cache', name);
  for (const [name, value] of [
    ['size', 128],
    ['object_size', 128],
    ['inuse', 128],
    ['align', 8],
    ['objects', 128],
    ['useroffset', 16],
    ['usersize', 64],
  ] as const) {
    low.writeUInt32LE(value, member(name));
  }
  long(member('name'), cached(cache + 0x200));
  low.write('by-hand\0', cache + 0x200, 'latin1');
  const page = AT.structPages + (AT.slab / PAGE) * 64;
  long(page + offsetOf('slab', '__page_flags'), 1n << guest.types!.enumerator('PG_slab')!);
  long(page + offsetOf('slab', 'slab_cache'), cached(cache));
  low.writeUInt32LE(128, page + offsetOf('slab', 'objects'));

  // Two pages and the guard page, in a tree of one area.
  const area = AT.structures + 0x400;
  const vm = AT.structures + 0x500;
  long(area + offsetOf('vmap_area', 'va_start'), VMALLOC_START);
  long(area + offsetOf('vmap_area', 'va_end'), VMALLOC_START + 3n * BigInt(PAGE));
  long(area + offsetOf('vmap_area', 'vm'), cached(vm));
  long(vm + offsetOf('vm_struct', 'addr'), VMALLOC_START);
  long(vm + offsetOf('vm_struct', 'size'), 3n * BigInt(PAGE));
  image.writeBigUInt64LE(cached(area + offsetOf('vmap_area', 'rb_node')), Number(SYMBOLS.vmap_area_root));

  // The task lies at the bottom of its stack.
  long(AT.task + offsetOf('task_struct', 'stack'), STACK);

  return {
    vmlinux: file,
    core({ notes = true, ip = KERNEL_START + 0x100n } = {}) {
      const status = Buffer.alloc(112 + 128 * 8 + 8);
      const register = (slot: number, value: bigint): void => void status.writeBigUInt64LE(value, 112 + slot * 8);
      register(12, STACK + 0x7000n);
      register(13, STACK);
      register(42, ip);
      const told = [
        'OSRELEASE=6.1.0-ia64',
        'PAGESIZE=16384',
        `SYMBOL(_stext)=${KERNEL_START.toString(16)}`,
        `SYMBOL(swapper_pg_dir)=${(KERNEL_START + SYMBOLS.swapper_pg_dir).toString(16)}`,
        'CONFIG_PGTABLE_3=y',
      ];
      return buildCore(
        [
          { physical: KERNEL_PHYSICAL, virtual: KERNEL_START, bytes: image },
          { physical: 0n, virtual: CACHED, bytes: low },
        ],
        {
          machine: 50,
          notes: [
            { owner: 'CORE', type: 1, data: status },
            ...(notes ? [{ owner: 'VMCOREINFO', type: 0, data: Buffer.from(`${told.join('\n')}\n`) }] : []),
          ],
        },
      );
    },
  };
}
