/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Tasks. The first one is part of the image, its stack lies in [_sdata, _edata) as Linux has it; the stacks of others
 * are plain pages of the linear map (Linux without VMAP_STACK).
 */
unsigned char init_stack[THREAD_SIZE] __attribute__((section(".data..init_stack"), aligned(THREAD_SIZE))) = { 0 };
struct task_struct init_task = {
	.stack = init_stack,
	.comm = "swapper",
};

static struct kmem_cache *task_struct_cachep;
static int last_pid;

#define current get_current()

static inline void *task_stack_page(const struct task_struct *task)
{
	return task->stack;
}

/** set_current - make @task the current one. The host gives it its stack pointer. */
__guest_entry void set_current(struct task_struct *task)
{
	arch_set_current(task);
}

/** fork_task - a new task with a stack of THREAD_SIZE bytes; NULL without memory. */
__guest_entry struct task_struct *fork_task(void)
{
	static const char comm[] = "forked";
	struct task_struct *task = kmem_cache_alloc(task_struct_cachep);

	if (!task)
		return NULL;
	memset(task, 0, sizeof(*task));
	task->stack = alloc_page_plain(ALIGN(THREAD_SIZE, PAGE_SIZE) >> PAGE_SHIFT);
	if (!task->stack) {
		kmem_cache_free(task_struct_cachep, task);
		return NULL;
	}
	task->pid = ++last_pid;
	memcpy(task->comm, comm, sizeof(comm));
	task->next_task = init_task.next_task;
	init_task.next_task = task;
	return task;
}

/** pagefault_disable - as for copies that must not sleep; pagefault_enable() undoes it. */
__guest_entry void pagefault_disable(void)
{
	current->pagefault_disabled++;
}

__guest_entry void pagefault_enable(void)
{
	current->pagefault_disabled--;
}

static bool task_init(void)
{
	task_struct_cachep = kmem_cache_create("task_struct", sizeof(struct task_struct), 16, 0);
	return task_struct_cachep && fork_task();
}
