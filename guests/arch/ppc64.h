/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * powerpc, 64 bits, either byte order, as Linux 6.1 lays it out on book3s/64 with radix tables and 64 KiB pages
 * (arch/powerpc/include/asm/book3s/64/radix.h). The image lies in the linear map. ELFv2 in both byte orders.
 */
#define KIMAGE_VADDR 0xc000000001000000
#define KIMAGE_PHYS 0x01000000
#define PAGE_SHIFT 16

#ifndef __ASSEMBLER__

#define BITS_PER_LONG 64
#define THREAD_SIZE 16384UL
#define PAGE_OFFSET 0xc000000000000000UL
#define TASK_SIZE_MAX (1UL << 52)

extern unsigned long high_memory, __vmalloc_start, __vmalloc_end;

#define LINEAR_MAP_START PAGE_OFFSET
#define VMALLOC_START __vmalloc_start
#define VMALLOC_END __vmalloc_end
#define VMALLOC_ARENA_START 0xc008000000000000UL

#define IMAGE_IN_VMALLOC_SPACE 0
#define FRAMES_CHECKED_BY_DEFAULT 0
/* The back chain: the word at a frame's lowest address points to the caller's. */
#define FRAME_AT_STACK_POINTER
#define FRAME_HEADER 32

#define ARCH_HAS_CURRENT_STACK_POINTER
register unsigned long current_stack_pointer asm("r1");

#define BUG() __builtin_trap()

struct task_struct;
/* Of the per-CPU structure that r13 points to, what leads to the task. */
struct paca_struct {
	unsigned long kernel_toc;
	struct task_struct *__current;
};
register struct paca_struct *local_paca asm("r13");

static inline struct task_struct *get_current(void)
{
	return local_paca->__current;
}

static inline void arch_set_current(struct task_struct *task)
{
	local_paca->__current = task;
}

static inline unsigned long virt_to_phys(unsigned long address)
{
	return address & 0x0fffffffffffffffUL;
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
