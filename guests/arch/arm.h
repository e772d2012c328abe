/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * arm as Linux 6.1 lays it out with 3 GiB for users, short page tables and no highmem (arch/arm/include/asm/memory.h).
 * The image lies in the linear map; struct pages are told by memblock.
 */
#define KIMAGE_VADDR 0xc1000000
#define KIMAGE_PHYS 0x01000000
#define PAGE_SHIFT 12

#ifndef __ASSEMBLER__

#define BITS_PER_LONG 32
#define THREAD_SIZE 8192UL
#define PAGE_OFFSET 0xc0000000UL
#define TASK_SIZE_MAX 0xbf000000UL

extern unsigned long high_memory;

#define LINEAR_MAP_START PAGE_OFFSET
#define VMALLOC_START ((high_memory + (8UL << 20)) & ~((8UL << 20) - 1))
#define VMALLOC_END 0xff800000UL
#define VMALLOC_ARENA_START 0xf0800000UL

#define IMAGE_IN_VMALLOC_SPACE 0
#define FRAMES_CHECKED_BY_DEFAULT 0
/* -mapcs-frame: [fp, sp, lr, pc], and the frame pointer points at the last. */
#define FRAME_HEADER (4 * 4)
#define FRAME_BIAS (-12)
#define ARCH_HAS_MEMBLOCK

#define ARCH_HAS_CURRENT_STACK_POINTER
register unsigned long current_stack_pointer asm("sp");

#define BUG() \
	do { \
		asm volatile(".inst 0xe7f001f2"); \
		__builtin_unreachable(); \
	} while (0)

struct task_struct;

/* TPIDRURO */
static inline struct task_struct *get_current(void)
{
	struct task_struct *task;

	asm volatile("mrc p15, 0, %0, c13, c0, 3" : "=r"(task));
	return task;
}

static inline void arch_set_current(struct task_struct *task)
{
	asm volatile("mcr p15, 0, %0, c13, c0, 3" : : "r"(task) : "memory");
}

static inline unsigned long virt_to_phys(unsigned long address)
{
	return address - PAGE_OFFSET;
}

static inline bool pfn_valid(unsigned long pfn);

static inline bool virt_addr_valid(unsigned long address)
{
	return address >= PAGE_OFFSET && address < high_memory && pfn_valid(virt_to_phys(address) >> PAGE_SHIFT);
}

unsigned long arm_copy_to_user(void *to, const void *from, unsigned long n);
unsigned long arm_copy_from_user(void *to, const void *from, unsigned long n);

static inline unsigned long raw_copy_to_user(void *to, const void *from, unsigned long n)
{
	return arm_copy_to_user(to, from, n);
}

static inline unsigned long raw_copy_from_user(void *to, const void *from, unsigned long n)
{
	return arm_copy_from_user(to, from, n);
}

#endif
