/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * powerpc, 32 bits, as Linux 6.1 lays it out on book3s/32 without highmem (arch/powerpc/include/asm/{page,nohash}). The
 * image lies in the linear map.
 */
#define KIMAGE_VADDR 0xc1000000
#define KIMAGE_PHYS 0x01000000
#define PAGE_SHIFT 12

#ifndef __ASSEMBLER__

#define BITS_PER_LONG 32
#define THREAD_SIZE 8192UL
#define PAGE_OFFSET 0xc0000000UL
#define TASK_SIZE_MAX 0xb0000000UL

extern unsigned long high_memory, ioremap_bot;

#define LINEAR_MAP_START PAGE_OFFSET
/* From the first 16 MiB boundary that leaves at least a byte of gap above memory. */
#define VMALLOC_START ((high_memory + 0x1000000) & ~0xffffffUL)
#define VMALLOC_END ioremap_bot
#define VMALLOC_ARENA_START 0xe0000000UL

#define IMAGE_IN_VMALLOC_SPACE 0
#define FRAMES_CHECKED_BY_DEFAULT 0
/* The back chain: the word at a frame's lowest address points to the caller's. */
#define FRAME_AT_STACK_POINTER
#define FRAME_HEADER (2 * 4)

#define ARCH_HAS_CURRENT_STACK_POINTER
register unsigned long current_stack_pointer asm("r1");

#define BUG() __builtin_trap()

struct task_struct;
register struct task_struct *current_register asm("r2");

static inline struct task_struct *get_current(void)
{
	return current_register;
}

static inline void arch_set_current(struct task_struct *task)
{
	current_register = task;
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

unsigned long __copy_tofrom_user(void *to, const void *from, unsigned long n);

static inline unsigned long raw_copy_to_user(void *to, const void *from, unsigned long n)
{
	return __copy_tofrom_user(to, from, n);
}

static inline unsigned long raw_copy_from_user(void *to, const void *from, unsigned long n)
{
	return __copy_tofrom_user(to, from, n);
}

#endif
