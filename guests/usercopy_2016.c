/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The check as posted in July 2016. Each question answers with the type that the message puts in parentheses, or NULL.
 * Kept as they were, for reports can only be reproduced so: a range may end one byte past rodata, data and bss; a
 * range that ends where the text starts touches it; pages are looked at in steps from an unaligned pointer, so that the
 * last one may be left out; the linear alias of the text was behind a macro that nobody defines.
 */
static noinline void report_usercopy(unsigned long pointer, unsigned long n, bool to_user, const char *type)
{
	printk("usercopy: kernel memory %s attempt detected %s %p (%s) (%lu bytes)\n", to_user ? "exposure" : "overwrite",
		to_user ? "from" : "to", (void *)pointer, type, n);
	BUG();
}

/* slab_ksize() of SLUB: how far into an object its owner may write. */
static size_t slab_ksize(const struct kmem_cache *cache)
{
	if (cache->flags & (SLAB_RED_ZONE | SLAB_POISON))
		return cache->object_size;
	if (cache->flags & (SLAB_TYPESAFE_BY_RCU | SLAB_STORE_USER))
		return cache->inuse;
	return cache->size;
}

static const char *slab_objection_2016(unsigned long pointer, unsigned long n, const struct slab *slab)
{
	const struct kmem_cache *cache = slab->slab_cache;
	size_t room = slab_ksize(cache);
	unsigned long offset = (pointer - (unsigned long)slab_address(slab)) % cache->size;

	if (cache->flags & SLAB_RED_ZONE) {
		if (offset < cache->red_left_pad)
			return cache->name;
		offset -= cache->red_left_pad;
	}
	return offset <= room && n <= room - offset ? NULL : cache->name;
}

static bool starts_and_ends_in(unsigned long pointer, unsigned long last, const char *start, const char *end)
{
	return pointer >= (unsigned long)start && last <= (unsigned long)end;
}

/* Whether all pages that the steps meet are like the first: Reserved or, if that counts, of CMA. */
static bool pages_are_alike(unsigned long pointer, unsigned long last, bool cma_counts)
{
	const struct page *page = virt_to_head_page((void *)pointer);
	bool reserved = page_has(page, PG_reserved), cma = cma_counts && page_has(page, PG_own_migrate_cma);

	if (!reserved && !cma)
		return false;
	for (pointer += PAGE_SIZE; pointer <= last; pointer += PAGE_SIZE) {
		page = virt_to_head_page((void *)pointer);
		if ((reserved && !page_has(page, PG_reserved)) || (cma && !page_has(page, PG_own_migrate_cma)))
			return false;
	}
	return true;
}

static const char *heap_objection_2016(unsigned long pointer, unsigned long n, bool to_user)
{
	const unsigned long last = pointer + n - 1;
	struct page *page;

	if (!virt_addr_valid(pointer))
		return NULL;
	page = virt_to_head_page((void *)pointer);
	if (page_has(page, PG_slab))
		return slab_objection_2016(pointer, n, (struct slab *)page);
	if (starts_and_ends_in(pointer, last, __start_rodata, __end_rodata))
		return to_user ? NULL : "<rodata>";
	if (starts_and_ends_in(pointer, last, _sdata, _edata) || starts_and_ends_in(pointer, last, __bss_start, __bss_stop))
		return NULL;
	if (pointer >> PAGE_SHIFT == last >> PAGE_SHIFT || virt_to_head_page((void *)last) == page)
		return NULL;
	if (pages_are_alike(pointer, last, usercopy_profile == USERCOPY_V3_CMA))
		return NULL;
	return "<spans multiple pages>";
}

static __always_inline void check_object_2016(unsigned long pointer, unsigned long n, bool to_user)
{
	const char *objection = NULL;

	if (!n)
		return;
	if (pointer + n < pointer)
		objection = "<wrapped address>";
	else if (pointer <= 16)
		objection = "<null>";
	else
		objection = heap_objection_2016(pointer, n, to_user);

	if (!objection) {
		enum stack_verdict verdict = check_stack_object(pointer, n, false, CALLER_STACK_POINTER());

		if (verdict == GOOD_FRAME || verdict == GOOD_STACK)
			return;
		if (verdict == BAD_STACK)
			objection = "<process stack>";
		else if (pointer < (unsigned long)_etext && pointer + n >= (unsigned long)_stext)
			objection = "<kernel text>";
		else
			return;
	}
	report_usercopy(pointer, n, to_user, objection);
}
