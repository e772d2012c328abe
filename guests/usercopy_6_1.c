/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The check of Linux 6.1.192 with SLUB, without KASAN and KFENCE. */

/** usercopy_abort - say what was wrong and BUG(). */
__guest_entry void __noreturn usercopy_abort(const char *name, const char *detail, bool to_user, unsigned long offset,
	unsigned long n)
{
	printk("usercopy: Kernel memory %s attempt detected %s %s%s%s%s (offset %lu, size %lu)!\n",
		to_user ? "exposure" : "overwrite", to_user ? "from" : "to", name ? name : "unknown?!", detail ? " '" : "",
		detail ? detail : "", detail ? "'" : "", offset, n);
	BUG();
}

/*
 * The window for user copies of the object that @pointer lies in. Offsets are 32 bits wide, as in SLUB: a window that
 * ends before the offset gives a difference that wraps there.
 */
__guest_entry void __check_heap_object(const void *pointer, unsigned long n, const struct slab *slab, bool to_user)
{
	const struct kmem_cache *cache = slab->slab_cache;
	const unsigned long start = (unsigned long)slab_address(slab), address = (unsigned long)pointer;
	unsigned int offset, into_window;

	if (address < start)
		usercopy_abort("SLUB object not in SLUB page?!", NULL, to_user, 0, n);
	offset = (address - start) % cache->size;
	if (cache->flags & SLAB_RED_ZONE) {
		if (offset < cache->red_left_pad)
			usercopy_abort("SLUB object in left red zone", cache->name, to_user, offset, n);
		offset -= cache->red_left_pad;
	}
	into_window = offset - cache->useroffset;
	if (offset < cache->useroffset || into_window > cache->usersize || n > cache->usersize - into_window)
		usercopy_abort("SLUB object", cache->name, to_user, offset, n);
}

static noinline void check_heap_object(const void *pointer, unsigned long n, bool to_user)
{
	const unsigned long address = (unsigned long)pointer;
	struct folio *folio;

	if (is_kmap_addr(pointer)) {
		unsigned long offset = address & (PAGE_SIZE - 1);

		if (n > PAGE_SIZE - offset)
			usercopy_abort("kmap", NULL, to_user, offset, n);
		return;
	}
	/* d319f344561d: not while page faults are disabled. */
	if (is_vmalloc_addr(pointer) && !current->pagefault_disabled) {
		const struct vmap_area *area = find_vmap_area(address);

		if (!area)
			usercopy_abort("vmalloc", "no area", to_user, 0, n);
		/* The guard page belongs to the area. */
		if (n > area->va_end - address)
			usercopy_abort("vmalloc", NULL, to_user, address - area->va_start, n);
		return;
	}
	if (!virt_addr_valid(address))
		return;
	folio = (struct folio *)virt_to_head_page(pointer);
	if (page_has(&folio->page, PG_slab)) {
		__check_heap_object(pointer, n, (struct slab *)folio, to_user);
	} else if (page_has(&folio->page, PG_head)) {
		unsigned long offset = address - (unsigned long)page_address(&folio->page);

		if (n > (PAGE_SIZE << folio->_folio_order) - offset)
			usercopy_abort("page alloc", NULL, to_user, offset, n);
	}
}

static bool overlaps_6_1(unsigned long pointer, unsigned long n, unsigned long low, unsigned long high)
{
	return pointer < high && pointer + n > low;
}

static noinline void check_kernel_text_object(unsigned long pointer, unsigned long n, bool to_user)
{
	const unsigned long low = (unsigned long)_stext, high = (unsigned long)_etext;
	const unsigned long linear_low = (unsigned long)phys_to_virt(virt_to_phys(low));

	if (overlaps_6_1(pointer, n, low, high))
		usercopy_abort("kernel text", NULL, to_user, pointer - low, n);
	if (linear_low != low && overlaps_6_1(pointer, n, linear_low, linear_low + (high - low)))
		usercopy_abort("linear kernel text", NULL, to_user, pointer - linear_low, n);
}

static __always_inline void check_object_6_1(unsigned long pointer, unsigned long n, bool to_user)
{
	if (bypass_usercopy_checks || !n)
		return;
	if (pointer + (n - 1) < pointer)
		usercopy_abort("wrapped address", NULL, to_user, 0, pointer + n);
	if (pointer <= 16)
		usercopy_abort("null address", NULL, to_user, pointer, n);
	switch (check_stack_object(pointer, n, true, CALLER_STACK_POINTER())) {
	case NOT_STACK:
		break;
	case GOOD_FRAME:
	case GOOD_STACK:
		return;
	default:
#ifdef ARCH_HAS_CURRENT_STACK_POINTER
		usercopy_abort("process stack", NULL, to_user, current_stack_pointer - pointer, n);
#else
		usercopy_abort("process stack", NULL, to_user, 0, n);
#endif
	}
	check_heap_object((const void *)pointer, n, to_user);
	check_kernel_text_object(pointer, n, to_user);
}
