/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mips, 64 bits, little-endian, as Linux 6.1 lays it out with pages of 4 KiB (arch/mips/include/asm/{pgtable-64.h,addrspace.h}). The
 * linear map is the cached part of xkphys; the image lies in ckseg0.
 */
#define KIMAGE_VADDR 0xffffffff81000000
#define KIMAGE_PHYS 0x0000000001000000
#define PAGE_SHIFT 12

#ifndef __ASSEMBLER__

#define BITS_PER_LONG 64
#define THREAD_SIZE 16384UL
#define PAGE_OFFSET 0x9800000000000000UL
#define MAP_BASE 0xc000000000000000UL
#define CKSEG0 0xffffffff80000000UL
#define TASK_SIZE_MAX (1UL << 40)

#define LINEAR_MAP_START PAGE_OFFSET
#define VMALLOC_START (MAP_BASE + 2 * 4096UL)
#define VMALLOC_END (MAP_BASE + (1UL << 40) - (1UL << 32))
/* Where the host's translation of xkseg leads to memory that is no RAM. */
#define VMALLOC_ARENA_START (MAP_BASE + 0x18000000UL)

#include "mips.h"

static inline unsigned long virt_to_phys(unsigned long address)
{
	return address & (address < CKSEG0 ? (1UL << 48) - 1 : 0x1fffffffUL);
}

static inline bool pfn_valid(unsigned long pfn);

static inline bool virt_addr_valid(unsigned long address)
{
	return address >= PAGE_OFFSET && address < MAP_BASE && pfn_valid(virt_to_phys(address) >> PAGE_SHIFT);
}

#endif
