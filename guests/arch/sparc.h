/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sparc (32 bits) as Linux 6.1 lays it out without highmem (arch/sparc/include/asm/{page,pgtable}_32.h). The image lies in
 * the linear map. Built for v8 without register windows (-mflat), which never return under Unicorn.
 */
#define KIMAGE_VADDR 0xf1000000
#define KIMAGE_PHYS 0x01000000
#define PAGE_SHIFT 12

#ifndef __ASSEMBLER__

#define BITS_PER_LONG 32
#define THREAD_SIZE 8192UL
#define PAGE_OFFSET 0xf0000000UL
#define TASK_SIZE_MAX PAGE_OFFSET

#define LINEAR_MAP_START PAGE_OFFSET
#define VMALLOC_START 0xfe600000UL
#define VMALLOC_END 0xffc00000UL
#define VMALLOC_ARENA_START VMALLOC_START

#define IMAGE_IN_VMALLOC_SPACE 0
#define FRAMES_CHECKED_BY_DEFAULT 0
/* A frame begins with the save area of sixteen registers; %i6, the caller's stack pointer, is the last but one. */
#define FRAME_AT_STACK_POINTER
#define FRAME_SAVED (14 * 4)
#define FRAME_HEADER (16 * 4)

extern unsigned long phys_base;

#define BUG() __builtin_trap()

struct task_struct;
/* Of Linux's struct thread_info, which %g6 points to, what leads to the task. */
struct thread_link {
	unsigned long uwinmask;
	struct task_struct *task;
};
register struct thread_link *thread_link_register asm("g6");
extern struct thread_link init_thread_link;

static inline struct task_struct *get_current(void)
{
	return thread_link_register->task;
}

static inline void arch_set_current(struct task_struct *task)
{
	thread_link_register = &init_thread_link;
	thread_link_register->task = task;
}

static inline unsigned long virt_to_phys(unsigned long address)
{
	return address - PAGE_OFFSET + phys_base;
}

static inline bool pfn_valid(unsigned long pfn);

static inline bool virt_addr_valid(unsigned long address)
{
	return pfn_valid((address - PAGE_OFFSET) >> PAGE_SHIFT);
}

unsigned long __copy_user(void *to, const void *from, unsigned long n);

static inline unsigned long raw_copy_to_user(void *to, const void *from, unsigned long n)
{
	return __copy_user(to, from, n);
}

static inline unsigned long raw_copy_from_user(void *to, const void *from, unsigned long n)
{
	return __copy_user(to, from, n);
}

#endif
