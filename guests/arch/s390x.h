/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * s390x as Linux 6.1 lays it out (arch/s390/boot/startup.c): virtual addresses are real ones, the image begins at 1 MiB,
 * user space is a space of its own that only mvcos reaches.
 */
#define KIMAGE_VADDR 0x100000
#define KIMAGE_PHYS 0x100000
#define PAGE_SHIFT 12

#ifndef __ASSEMBLER__

#define BITS_PER_LONG 64
#define THREAD_SIZE 16384UL
#define PAGE_OFFSET 0UL
/* Any address may be a user's. */
#define TASK_SIZE_MAX (-4096UL)

/* MODULES_VADDR and the 512 GiB below it, where three levels of tables map 4 TiB. */
extern unsigned long VMALLOC_START, VMALLOC_END;
#define LINEAR_MAP_START PAGE_OFFSET
#define VMALLOC_ARENA_START 0x37f7ff00000UL

#define IMAGE_IN_VMALLOC_SPACE 0
#define FRAMES_CHECKED_BY_DEFAULT 0
/* -mbackchain: the word at a frame's lowest address points to the caller's, the register save area is behind it. */
#define FRAME_AT_STACK_POINTER
#define FRAME_HEADER 160
#define CALLER_STACK_POINTER() ((unsigned long)__builtin_dwarf_cfa() - FRAME_HEADER)

#define ARCH_HAS_CURRENT_STACK_POINTER
register unsigned long current_stack_pointer asm("r15");

/* A monitor call. */
#define BUG() \
	do { \
		asm volatile("mc 0,0"); \
		__builtin_unreachable(); \
	} while (0)

struct task_struct;
/* What lies at address 0 for each CPU, as far as the task. */
struct lowcore {
	unsigned char before_current_task[0x340];
	struct task_struct *current_task;
};

static inline struct task_struct *get_current(void)
{
	struct task_struct *task;

	asm volatile("lg %0,%1(%%r0)" : "=d"(task) : "i"(__builtin_offsetof(struct lowcore, current_task)));
	return task;
}

static inline void arch_set_current(struct task_struct *task)
{
	asm volatile("stg %0,%1(%%r0)" : : "d"(task), "i"(__builtin_offsetof(struct lowcore, current_task)) : "memory");
}

static inline unsigned long virt_to_phys(unsigned long address)
{
	return address;
}

static inline bool pfn_valid(unsigned long pfn);

static inline bool virt_addr_valid(unsigned long address)
{
	return pfn_valid(virt_to_phys(address) >> PAGE_SHIFT);
}

unsigned long raw_copy_to_user(void *to, const void *from, unsigned long n);
unsigned long raw_copy_from_user(void *to, const void *from, unsigned long n);

#endif
