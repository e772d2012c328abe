/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * riscv64 as Linux 6.1 lays it out with three page-table levels, Sv39 (Documentation/riscv/vm-layout.rst). Physical memory
 * starts at 0, as everywhere in this guest.
 */
#define KIMAGE_VADDR 0xffffffff80000000
#define KIMAGE_PHYS 0x0000000001000000
#define PAGE_SHIFT 12

#ifndef __ASSEMBLER__

#define BITS_PER_LONG 64
#define THREAD_SIZE 16384UL
#define TASK_SIZE_MAX (1UL << 38)

/* What boot code finds out about the machine; as Linux has it, so far as this guest needs it. */
struct kernel_mapping {
	unsigned long page_offset;
	unsigned long virt_addr;
	unsigned long phys_addr;
	unsigned long size;
	unsigned long va_pa_offset;
	unsigned long va_kernel_pa_offset;
};

extern char _text[], _end[];
struct kernel_mapping kernel_map = {
	.page_offset = 0xffffffd800000000UL,
	.virt_addr = KIMAGE_VADDR,
	.phys_addr = KIMAGE_PHYS,
	/* guest_image_size; an address is not an integer that C could compute with. */
	.size = 2UL << 20,
	.va_pa_offset = 0xffffffd800000000UL,
	.va_kernel_pa_offset = KIMAGE_VADDR - KIMAGE_PHYS,
};
unsigned char pgtable_l4_enabled, pgtable_l5_enabled;

/* A quarter of the tables' reach. */
#define KERN_VIRT_SIZE (1UL << 37)
#define PAGE_OFFSET kernel_map.page_offset
#define LINEAR_MAP_START 0xffffffd800000000UL
#define VMALLOC_END PAGE_OFFSET
#define VMALLOC_START (PAGE_OFFSET - (KERN_VIRT_SIZE >> 1))
#define VMALLOC_ARENA_START 0xffffffc800000000UL

#define IMAGE_IN_VMALLOC_SPACE 0
#define FRAMES_CHECKED_BY_DEFAULT 0
/* The frame pointer leads to the end of its record. */
#define FRAME_BIAS (-16)
/* A leaf's record has no return address, and the saved frame pointer in its place. */
#define WHOLE_FRAME_RECORD() asm volatile("" : : : "ra")

#define ARCH_HAS_CURRENT_STACK_POINTER
register unsigned long current_stack_pointer asm("sp");

#define BUG() \
	do { \
		asm volatile("ebreak"); \
		__builtin_unreachable(); \
	} while (0)

struct task_struct;
register struct task_struct *riscv_current asm("tp");

static inline struct task_struct *get_current(void)
{
	return riscv_current;
}

static inline void arch_set_current(struct task_struct *task)
{
	riscv_current = task;
}

static inline bool in_linear_map(unsigned long address)
{
	return address >= PAGE_OFFSET && address < PAGE_OFFSET + KERN_VIRT_SIZE;
}

static inline unsigned long virt_to_phys(unsigned long address)
{
	if (in_linear_map(address))
		return address - kernel_map.va_pa_offset;
	return address - kernel_map.va_kernel_pa_offset;
}

static inline bool pfn_valid(unsigned long pfn);

/* Whatever lies above PAGE_OFFSET is asked for its page, the image too. */
static inline bool virt_addr_valid(unsigned long address)
{
	return address >= PAGE_OFFSET && pfn_valid(virt_to_phys(address) >> PAGE_SHIFT);
}

unsigned long __asm_copy_to_user(void *to, const void *from, unsigned long n);
unsigned long __asm_copy_from_user(void *to, const void *from, unsigned long n);

static inline unsigned long raw_copy_to_user(void *to, const void *from, unsigned long n)
{
	return __asm_copy_to_user(to, from, n);
}

static inline unsigned long raw_copy_from_user(void *to, const void *from, unsigned long n)
{
	return __asm_copy_from_user(to, from, n);
}

#endif
