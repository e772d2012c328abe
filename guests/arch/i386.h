/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * x86 with 32 bits as Linux 6.1 lays it out with highmem, without PAE and KASLR (arch/x86/include/asm/{page,pgtable}_32*.h).
 * The image lies in the linear map. RAM is all lowmem, but the slots of kmap() are there, for the check asks about them.
 */
#define KIMAGE_VADDR 0xc1000000
#define KIMAGE_PHYS 0x01000000
#define PAGE_SHIFT 12

#ifndef __ASSEMBLER__

#define BITS_PER_LONG 32
#define THREAD_SIZE 8192UL
#define PAGE_OFFSET 0xc0000000UL
#define TASK_SIZE_MAX PAGE_OFFSET
#define NR_CPUS 32

/* How many slots of the fixmap, and of kmap_local_page() in it, there are: arch/x86/include/asm/fixmap.h, of 32 CPUs. */
enum fixed_addresses {
	FIX_KMAP_BEGIN = 12,
	FIX_KMAP_END = FIX_KMAP_BEGIN + 16 * NR_CPUS - 1,
	__end_of_permanent_fixed_addresses = 657,
	__end_of_fixed_addresses = 1537,
};

/* Of what each CPU's exceptions need, only the size counts: 43 pages. */
struct cpu_entry_area {
	char pages[43 * 4096];
};

extern unsigned long high_memory;

#define PMD_MASK (~((4UL << 20) - 1))
#define FIXADDR_TOP 0xfffff000UL
#define FIXADDR_START (FIXADDR_TOP - (__end_of_permanent_fixed_addresses << PAGE_SHIFT))
#define FIXADDR_TOT_START (FIXADDR_TOP - (__end_of_fixed_addresses << PAGE_SHIFT))
#define CPU_ENTRY_AREA_PAGES (NR_CPUS * ((sizeof(struct cpu_entry_area) + PAGE_SIZE - 1) / PAGE_SIZE))
#define CPU_ENTRY_AREA_BASE ((FIXADDR_TOT_START - PAGE_SIZE * (CPU_ENTRY_AREA_PAGES + 1)) & PMD_MASK)
#define LDT_BASE_ADDR ((CPU_ENTRY_AREA_BASE - PAGE_SIZE) & PMD_MASK)
#define PKMAP_BASE ((LDT_BASE_ADDR - PAGE_SIZE) & PMD_MASK)
#define LAST_PKMAP 1024

#define LINEAR_MAP_START PAGE_OFFSET
#define VMALLOC_START (high_memory + (8UL << 20))
#define VMALLOC_END (PKMAP_BASE - 2 * PAGE_SIZE)
#define VMALLOC_ARENA_START 0xf8000000UL

#define IMAGE_IN_VMALLOC_SPACE 0
/* CONFIG_FRAME_POINTER: arch_within_stack_frames() answers. */
#define FRAMES_CHECKED_BY_DEFAULT 1
#define ARCH_HAS_HIGHMEM

#define ARCH_HAS_CURRENT_STACK_POINTER
register unsigned long current_stack_pointer asm("esp");

#define BUG() \
	do { \
		asm volatile("ud2"); \
		__builtin_unreachable(); \
	} while (0)

struct task_struct;
/* A per-cpu variable of the only CPU: its offset from the base of %fs is its address, so that base is 0. */
extern struct task_struct *current_task;

static inline struct task_struct *get_current(void)
{
	struct task_struct *task;

	asm volatile("movl %%fs:current_task, %0" : "=r"(task));
	return task;
}

static inline void arch_set_current(struct task_struct *task)
{
	asm volatile("movl %0, %%fs:current_task" : : "r"(task) : "memory");
}

static inline unsigned long virt_to_phys(unsigned long address)
{
	return address - PAGE_OFFSET;
}

static inline bool pfn_valid(unsigned long pfn);

/* __virt_addr_valid() of arch/x86/mm/physaddr.c. */
static inline bool virt_addr_valid(unsigned long address)
{
	if (address < PAGE_OFFSET || address >= FIXADDR_START)
		return false;
	if (address >= VMALLOC_START && address < VMALLOC_END)
		return false;
	return pfn_valid(virt_to_phys(address) >> PAGE_SHIFT);
}

unsigned long __copy_user_ll(void *to, const void *from, unsigned long n);

static inline unsigned long raw_copy_to_user(void *to, const void *from, unsigned long n)
{
	return __copy_user_ll(to, from, n);
}

static inline unsigned long raw_copy_from_user(void *to, const void *from, unsigned long n)
{
	return __copy_user_ll(to, from, n);
}

#endif
