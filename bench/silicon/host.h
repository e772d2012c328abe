/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The built-in guest's kernel as a part of a program of the host: 64 bits, its memory where a process may have it. Stands in
 * the place of guests/arch/<variant>.h; silicon.c is the rest of the program.
 */
#include "layout.h"

#define KIMAGE_VADDR 0x400000
#define KIMAGE_PHYS 0x1000000
#define PAGE_SHIFT 12

#define BITS_PER_LONG 64
#define TASK_SIZE_MAX 0x10000UL
/* The program is linked below it. */
#define IMAGE_MAP_END 0x40000000UL

extern unsigned long page_offset_base, vmalloc_base, phys_base;
#define PAGE_OFFSET page_offset_base
#define VMALLOC_START vmalloc_base
#define VMALLOC_END (vmalloc_base + (1UL << 40) - 1)
#define IMAGE_IN_VMALLOC_SPACE 0

#define BUG() __builtin_trap()

struct task_struct;
extern struct task_struct *current_task;

#ifdef __x86_64__
#define FRAMES_CHECKED_BY_DEFAULT 1
#define ARCH_HAS_CURRENT_STACK_POINTER
register unsigned long current_stack_pointer asm("rsp");

/* As in the kernel, where the base is that of the CPU's own variables; a process has 0. */
static inline struct task_struct *get_current(void)
{
	struct task_struct *task;

	asm volatile("movq %%gs:current_task, %0" : "=r"(task));
	return task;
}
#else
/* arm64: arch_within_stack_frames() does not answer. */
#define FRAMES_CHECKED_BY_DEFAULT 0
#define ARCH_HAS_CURRENT_STACK_POINTER
register unsigned long current_stack_pointer asm("sp");

static inline struct task_struct *get_current(void)
{
	return *(struct task_struct *volatile *)&current_task;
}
#endif

static inline void arch_set_current(struct task_struct *task)
{
	current_task = task;
}

static inline bool in_kernel_image_map(unsigned long address)
{
	return address < IMAGE_MAP_END;
}

static inline unsigned long virt_to_phys(unsigned long address)
{
	if (in_kernel_image_map(address))
		return address - KIMAGE_VADDR + phys_base;
	return address - PAGE_OFFSET;
}

static inline bool pfn_valid(unsigned long pfn);

static inline bool virt_addr_valid(unsigned long address)
{
	if (in_kernel_image_map(address)) {
		if (address < KIMAGE_VADDR)
			return false;
	} else if (address < PAGE_OFFSET || address - PAGE_OFFSET >= 1UL << 40) {
		return false;
	}
	return pfn_valid(virt_to_phys(address) >> PAGE_SHIFT);
}

/* What copies is not timed: both ways are one. */
unsigned long copy_user_host(void *to, const void *from, unsigned long n);
#define raw_copy_to_user copy_user_host
#define raw_copy_from_user copy_user_host
