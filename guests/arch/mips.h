/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What mips of both widths has. */
#define IMAGE_IN_VMALLOC_SPACE 0
/* Nothing links frames here. */
#define FRAMES_CHECKED_BY_DEFAULT 0

#define ARCH_HAS_CURRENT_STACK_POINTER
register unsigned long current_stack_pointer asm("$29");

/* BRK_BUG */
#define BUG() \
	do { \
		asm volatile("break 12"); \
		__builtin_unreachable(); \
	} while (0)

struct task_struct;
/* Of Linux's struct thread_info, which $28 points to and which lies at the bottom of the stack, what leads to the task. */
struct thread_link {
	struct task_struct *task;
};
register struct thread_link *current_thread_link asm("$28");

static inline struct task_struct *get_current(void)
{
	return current_thread_link->task;
}

#define arch_set_current(next) \
	do { \
		current_thread_link = (next)->stack; \
		current_thread_link->task = (next); \
	} while (0)

unsigned long __raw_copy_to_user(void *to, const void *from, unsigned long n);
unsigned long __raw_copy_from_user(void *to, const void *from, unsigned long n);

static inline unsigned long raw_copy_to_user(void *to, const void *from, unsigned long n)
{
	return __raw_copy_to_user(to, from, n);
}

static inline unsigned long raw_copy_from_user(void *to, const void *from, unsigned long n)
{
	return __raw_copy_from_user(to, from, n);
}
