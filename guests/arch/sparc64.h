/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sparc64 as Linux 6.1 lays it out: the image in the low 4 GiB at KERNBASE, vmalloc above it, the linear map at the top
 * (arch/sparc/include/asm/{page,pgtable}_64.h). Built without register windows (-mflat): Unicorn's CPU starts in a state
 * in which they trap.
 */
#define KIMAGE_VADDR 0x0000000000400000
#define KIMAGE_PHYS 0x0000000000400000
#define PAGE_SHIFT 13

#ifndef __ASSEMBLER__

#define BITS_PER_LONG 64
#define THREAD_SIZE 16384UL
#define TASK_SIZE_MAX (1UL << 43)

#define LINEAR_MAP_START 0xfff8000000000000UL
#define VMALLOC_START 0x0000000100000000UL
#define VMALLOC_ARENA_START VMALLOC_START

#define IMAGE_IN_VMALLOC_SPACE 0
#define FRAMES_CHECKED_BY_DEFAULT 0
/* A frame begins with the save area of sixteen registers; %i6, the caller's stack pointer, is the last but one. */
#define FRAME_AT_STACK_POINTER
#define FRAME_SAVED (14 * 8)
#define FRAME_HEADER (16 * 8)
#define FRAME_BIAS 2047

extern unsigned long PAGE_OFFSET, VMALLOC_END;

#define BUG() __builtin_trap()

struct task_struct;
register struct task_struct *current_register asm("g4");

static inline struct task_struct *get_current(void)
{
	return current_register;
}

static inline void arch_set_current(struct task_struct *task)
{
	current_register = task;
}

/* The image's own addresses wrap around to physical ones that nothing has: no page, and no second view of the text. */
static inline unsigned long virt_to_phys(unsigned long address)
{
	return address - PAGE_OFFSET;
}

static inline bool pfn_valid(unsigned long pfn);

static inline bool virt_addr_valid(unsigned long address)
{
	return pfn_valid(virt_to_phys(address) >> PAGE_SHIFT);
}

unsigned long raw_copy_to_user(void *to, const void *from, unsigned long n);
unsigned long raw_copy_from_user(void *to, const void *from, unsigned long n);

#endif
