/* SPDX-License-Identifier: GPL-2.0-or-later */
__attribute__((used)) const char linux_banner[] = "Linux version 6.1.0-own (unicorn-usercopy) #1 a freestanding guest\n";

/**
 * guest_init - build everything; called once, before anything else, on init_stack, in zeroed RAM of @ram_bytes bytes.
 * Returns init_task, which is then current; or, in the last page of the address space, a negative error: -EINVAL for a RAM size that is no multiple of a page,
 * too small for the image and its page array, or above 1 GiB; -EBUSY the second time; -ENOMEM.
 */
__guest_entry unsigned long guest_init(unsigned long ram_bytes)
{
	if (max_mapnr)
		return -EBUSY;
	arch_set_current(&init_task);
	if (!page_alloc_init(ram_bytes))
		return -EINVAL;
	if (!slab_init() || !vmalloc_init() || !task_init())
		return -ENOMEM;
	return (unsigned long)&init_task;
}
