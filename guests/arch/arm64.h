/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * arm64 as Linux 6.1 lays it out with 4 KiB pages and VA_BITS 48 (Documentation/arm64/memory.rst), without KASLR.
 * Physical memory starts at 0 (memstart_addr), as everywhere in this guest.
 */
#define KIMAGE_VADDR 0xffff800008000000
#define KIMAGE_PHYS 0x0000000001000000
#define PAGE_SHIFT 12

#ifndef __ASSEMBLER__

#define BITS_PER_LONG 64
#define THREAD_SIZE 16384UL
#define TASK_SIZE_MAX (1UL << 48)

#define PAGE_OFFSET 0xffff000000000000UL
#define PAGE_END 0xffff800000000000UL
#define LINEAR_MAP_START PAGE_OFFSET
/* The space starts where the modules end, that is with the kernel image itself. */
#define VMALLOC_START 0xffff800008000000UL
/* VMEMMAP_START, for struct pages of 64 bytes, less 256 MiB. */
#define VMALLOC_END (0xfffffc0000000000UL - (256UL << 20))
#define VMALLOC_ARENA_START 0xffff800010000000UL

/* map_kernel() registers the image's segments as vm areas. */
#define IMAGE_IN_VMALLOC_SPACE 1
/* Mainline has no arch_within_stack_frames() here. */
#define FRAMES_CHECKED_BY_DEFAULT 0

extern unsigned long memstart_addr, kimage_voffset;

#define ARCH_HAS_CURRENT_STACK_POINTER
register unsigned long current_stack_pointer asm("sp");

#define BUG() \
	do { \
		asm volatile("brk #0x800"); \
		__builtin_unreachable(); \
	} while (0)

struct task_struct;

static inline struct task_struct *get_current(void)
{
	struct task_struct *task;

	asm volatile("mrs %0, sp_el0" : "=r"(task));
	return task;
}

static inline void arch_set_current(struct task_struct *task)
{
	asm volatile("msr sp_el0, %0" : : "r"(task) : "memory");
}

static inline bool in_linear_map(unsigned long address)
{
	return address - PAGE_OFFSET < PAGE_END - PAGE_OFFSET;
}

static inline unsigned long virt_to_phys(unsigned long address)
{
	if (in_linear_map(address))
		return address - PAGE_OFFSET + memstart_addr;
	return address - kimage_voffset;
}

static inline bool pfn_valid(unsigned long pfn);

/* Only the linear map: an address inside the image's mapping has no page as far as this question goes. */
static inline bool virt_addr_valid(unsigned long address)
{
	return in_linear_map(address) && pfn_valid(virt_to_phys(address) >> PAGE_SHIFT);
}

unsigned long __arch_copy_to_user(void *to, const void *from, unsigned long n);
unsigned long __arch_copy_from_user(void *to, const void *from, unsigned long n);

static inline unsigned long raw_copy_to_user(void *to, const void *from, unsigned long n)
{
	return __arch_copy_to_user(to, from, n);
}

static inline unsigned long raw_copy_from_user(void *to, const void *from, unsigned long n)
{
	return __arch_copy_from_user(to, from, n);
}

#endif
