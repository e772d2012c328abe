/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vmalloc over an arena that the host maps as plain memory (see memory_map.c). Areas are found through
 * vmap_area_root, a search tree by address that is not rebalanced; each ends in a guard page. Addresses are not reused.
 */
#define VMALLOC_ARENA_SIZE (4UL << 20)

struct rb_root vmap_area_root;
static unsigned long vmalloc_next = VMALLOC_ARENA_START;

static inline bool is_vmalloc_addr(const void *pointer)
{
	unsigned long address = (unsigned long)pointer;

	return address >= VMALLOC_START && address < VMALLOC_END;
}

static struct vmap_area *find_vmap_area(unsigned long address)
{
	struct rb_node *node = vmap_area_root.rb_node;

	while (node) {
		struct vmap_area *area = container_of(node, struct vmap_area, rb_node);

		if (address < area->va_start)
			node = node->rb_left;
		else if (address >= area->va_end)
			node = node->rb_right;
		else
			return area;
	}
	return NULL;
}

static void insert_vmap_area(struct vmap_area *area)
{
	struct rb_node **link = &vmap_area_root.rb_node;

	while (*link) {
		struct vmap_area *other = container_of(*link, struct vmap_area, rb_node);

		link = area->va_start < other->va_start ? &(*link)->rb_left : &(*link)->rb_right;
	}
	area->rb_node.rb_left = area->rb_node.rb_right = NULL;
	*link = &area->rb_node;
}

static void erase_vmap_area(struct vmap_area *area)
{
	struct rb_node **link = &vmap_area_root.rb_node, *left = area->rb_node.rb_left;

	while (*link && *link != &area->rb_node) {
		struct vmap_area *other = container_of(*link, struct vmap_area, rb_node);

		link = area->va_start < other->va_start ? &(*link)->rb_left : &(*link)->rb_right;
	}
	*link = area->rb_node.rb_right;
	/* What was left of it goes to the far left of what was right of it. */
	while (*link)
		link = &(*link)->rb_left;
	*link = left;
}

static bool add_vm_area(unsigned long start, unsigned long size, unsigned long flags)
{
	struct vmap_area *area = kmalloc(sizeof(*area));
	struct vm_struct *vm = area ? kmalloc(sizeof(*vm)) : NULL;

	if (!vm) {
		kfree(area);
		return false;
	}
	memset(vm, 0, sizeof(*vm));
	vm->addr = (void *)start;
	vm->size = size;
	vm->flags = flags;
	area->va_start = start;
	area->va_end = start + size;
	area->vm = vm;
	insert_vmap_area(area);
	return true;
}

/** vmalloc - @size bytes of virtually contiguous memory with a guard page behind; NULL when the arena is full. */
__guest_entry void *vmalloc(unsigned long size)
{
	unsigned long start = vmalloc_next, end = VMALLOC_ARENA_START + VMALLOC_ARENA_SIZE;

	if (!size || size > end - start)
		return NULL;
	size = ALIGN(size, PAGE_SIZE) + PAGE_SIZE;
	if (size > end - start || !add_vm_area(start, size, VM_ALLOC))
		return NULL;
	vmalloc_next = start + size;
	return (void *)start;
}

/** vfree - forget the area that starts at @address. */
__guest_entry void vfree(const void *address)
{
	struct vmap_area *area = find_vmap_area((unsigned long)address);

	if (!area)
		return;
	erase_vmap_area(area);
	kfree(area->vm);
	kfree(area);
}

static bool vmalloc_init(void)
{
	if (!IMAGE_IN_VMALLOC_SPACE)
		return true;
	/* As map_kernel() of arm64 does: no guard but behind the last one. */
	return add_vm_area((unsigned long)_stext, ALIGN((unsigned long)(_etext - _stext), PAGE_SIZE), VM_MAP | VM_NO_GUARD) &&
		add_vm_area((unsigned long)__start_rodata, __end_rodata - __start_rodata, VM_MAP | VM_NO_GUARD) &&
		add_vm_area((unsigned long)_sdata, ALIGN((unsigned long)(_end - _sdata), PAGE_SIZE) + PAGE_SIZE, VM_MAP);
}
