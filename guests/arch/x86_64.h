/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * x86_64 as Linux 6.1 lays it out with four page-table levels and without KASLR (Documentation/x86/x86_64/mm.rst).
 * The part above __ASSEMBLER__ is read by the linker script too.
 */
#define KIMAGE_VADDR 0xffffffff81000000
#define KIMAGE_PHYS 0x0000000001000000
#define PAGE_SHIFT 12

#ifndef __ASSEMBLER__

#define BITS_PER_LONG 64
#define THREAD_SIZE 16384UL
#define TASK_SIZE_MAX ((1UL << 47) - 4096)

#define START_KERNEL_MAP 0xffffffff80000000UL
#define KERNEL_IMAGE_SIZE (512UL << 20)

extern unsigned long page_offset_base, vmalloc_base, phys_base;
#define PAGE_OFFSET page_offset_base
#define VMALLOC_START vmalloc_base
#define VMALLOC_END (vmalloc_base + (32UL << 40) - 1)

/* Where this guest's vmalloc() hands out addresses; a constant because the host reads it before the guest runs. */
#define VMALLOC_ARENA_START 0xffffc90000000000UL
#define LINEAR_MAP_START 0xffff888000000000UL

/* The kernel image lies outside the vmalloc space: no vmap_area covers it. */
#define IMAGE_IN_VMALLOC_SPACE 0
/* CONFIG_FRAME_POINTER: arch_within_stack_frames() answers. */
#define FRAMES_CHECKED_BY_DEFAULT 1

#define ARCH_HAS_CURRENT_STACK_POINTER
register unsigned long current_stack_pointer asm("rsp");

#define BUG() \
	do { \
		asm volatile("ud2"); \
		__builtin_unreachable(); \
	} while (0)

struct task_struct;
/* A per-cpu variable of the only CPU: its offset from GS_BASE is its address, so GS_BASE is 0. */
extern struct task_struct *current_task;

static inline struct task_struct *get_current(void)
{
	struct task_struct *task;

	asm volatile("movq %%gs:current_task, %0" : "=r"(task));
	return task;
}

static inline void arch_set_current(struct task_struct *task)
{
	asm volatile("movq %0, %%gs:current_task" : : "r"(task) : "memory");
}

static inline bool in_kernel_image_map(unsigned long address)
{
	return address >= START_KERNEL_MAP;
}

static inline unsigned long virt_to_phys(unsigned long address)
{
	if (in_kernel_image_map(address))
		return address - START_KERNEL_MAP + phys_base;
	return address - PAGE_OFFSET;
}

static inline bool pfn_valid(unsigned long pfn);

/* Both the image's mapping (up to KERNEL_IMAGE_SIZE) and the linear map have pages behind them. */
static inline bool virt_addr_valid(unsigned long address)
{
	if (in_kernel_image_map(address)) {
		if (address - START_KERNEL_MAP >= KERNEL_IMAGE_SIZE)
			return false;
	} else if (address < PAGE_OFFSET || address - PAGE_OFFSET >= 1UL << 52) {
		return false;
	}
	return pfn_valid(virt_to_phys(address) >> PAGE_SHIFT);
}

unsigned long copy_user_generic_unrolled(void *to, const void *from, unsigned int n);

static inline unsigned long raw_copy_to_user(void *to, const void *from, unsigned long n)
{
	return copy_user_generic_unrolled(to, from, n);
}

static inline unsigned long raw_copy_from_user(void *to, const void *from, unsigned long n)
{
	return copy_user_generic_unrolled(to, from, n);
}

#endif
