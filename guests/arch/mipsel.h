/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mips, 32 bits, little-endian, as Linux 6.1 lays it out without highmem (arch/mips/include/asm/{pgtable-32.h,mach-generic/spaces.h}).
 * The image lies in the linear map, kseg0.
 */
#define KIMAGE_VADDR 0x81000000
#define KIMAGE_PHYS 0x01000000
#define PAGE_SHIFT 12

#ifndef __ASSEMBLER__

#define BITS_PER_LONG 32
#define THREAD_SIZE 8192UL
#define PAGE_OFFSET 0x80000000UL
#define MAP_BASE 0xc0000000UL
#define TASK_SIZE_MAX PAGE_OFFSET

#define LINEAR_MAP_START PAGE_OFFSET
#define VMALLOC_START MAP_BASE
/* Below 17 slots of the fixmap and two pages. */
#define VMALLOC_END (0xfffe0000UL - 19 * 4096UL)
/* Where the host's translation of kseg2 leads to memory that is no RAM. */
#define VMALLOC_ARENA_START (MAP_BASE + 0x18000000UL)

#include "mips.h"

/* kseg0 and kseg1. */
static inline unsigned long virt_to_phys(unsigned long address)
{
	return address & 0x1fffffffUL;
}

static inline bool pfn_valid(unsigned long pfn);

static inline bool virt_addr_valid(unsigned long address)
{
	return address >= PAGE_OFFSET && address < MAP_BASE && pfn_valid(virt_to_phys(address) >> PAGE_SHIFT);
}

#endif
