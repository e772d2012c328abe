/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A slab allocator with SLUB's structures and object layout, without its per-CPU part. Slabs are never given back.
 * Free objects are handed out in address order from a fresh slab, then last freed first.
 */
static struct kmem_cache kmem_cache_boot;
struct kmem_cache *slab_caches;

static const struct {
	const char *name;
	unsigned int size;
} kmalloc_info[] = {
	{ "kmalloc-8", 8 }, { "kmalloc-16", 16 }, { "kmalloc-32", 32 }, { "kmalloc-64", 64 },
	{ "kmalloc-96", 96 }, { "kmalloc-128", 128 }, { "kmalloc-192", 192 }, { "kmalloc-256", 256 },
	{ "kmalloc-512", 512 }, { "kmalloc-1k", 1024 }, { "kmalloc-2k", 2048 }, { "kmalloc-4k", 4096 },
	{ "kmalloc-8k", 8192 },
};
struct kmem_cache *kmalloc_caches[ARRAY_SIZE(kmalloc_info)];

static inline void *slab_address(const struct slab *slab)
{
	return page_address((const struct page *)slab);
}

/* Where SLUB puts its metadata: right red zone or free pointer behind the object, left red zone before it. */
static void calculate_sizes(struct kmem_cache *cache)
{
	const unsigned int word = sizeof(void *);
	unsigned int size = ALIGN(cache->object_size, word);

	if (cache->flags & SLAB_RED_ZONE && size == cache->object_size)
		size += word;
	cache->inuse = size;
	if (cache->flags & (SLAB_TYPESAFE_BY_RCU | SLAB_POISON | SLAB_RED_ZONE)) {
		cache->offset = size;
		size += word;
	} else {
		cache->offset = cache->object_size / 2 & ~(word - 1);
	}
	if (cache->flags & SLAB_STORE_USER)
		size += 4 * word;
	if (cache->flags & SLAB_RED_ZONE) {
		cache->red_left_pad = ALIGN(word, cache->align);
		size += word + cache->red_left_pad;
	}
	cache->size = ALIGN(size, cache->align);
	while (cache->order < 3 && (PAGE_SIZE << cache->order) / cache->size < 4)
		cache->order++;
	cache->objects = (PAGE_SIZE << cache->order) / cache->size;
}

/* False when an object is too large for a slab or the alignment is not a power of two. */
static bool init_cache(struct kmem_cache *cache, const char *name, unsigned int size, unsigned int align,
	slab_flags_t flags, unsigned int useroffset, unsigned int usersize)
{
	if (!size || size > PAGE_SIZE << 3 || align & (align - 1) || align > PAGE_SIZE)
		return false;
	/* As Linux: a window that does not fit in the object is no window at all. */
	if ((!usersize && useroffset) || size < usersize || size - usersize < useroffset)
		usersize = useroffset = 0;
	memset(cache, 0, sizeof(*cache));
	cache->name = name;
	cache->flags = flags;
	cache->object_size = size;
	cache->align = align < sizeof(void *) ? sizeof(void *) : align;
	cache->useroffset = useroffset;
	cache->usersize = usersize;
	calculate_sizes(cache);
	if (!cache->objects)
		return false;
	cache->next = slab_caches;
	slab_caches = cache;
	return true;
}

static void **free_pointer(const struct kmem_cache *cache, void *object)
{
	return (void **)((char *)object + cache->offset);
}

static struct slab *new_slab(struct kmem_cache *cache)
{
	struct page *page = new_compound_page(cache->order);
	struct slab *slab = (struct slab *)page;
	char *object;
	unsigned int i;

	if (!page)
		return NULL;
	page->flags |= 1UL << PG_slab;
	slab->slab_cache = cache;
	slab->objects = cache->objects;
	slab->inuse = 0;
	slab->freelist = NULL;
	for (i = cache->objects; i--;) {
		object = (char *)slab_address(slab) + i * cache->size + cache->red_left_pad;
		*free_pointer(cache, object) = slab->freelist;
		slab->freelist = object;
	}
	slab->next = cache->partial;
	cache->partial = slab;
	return slab;
}

/** kmem_cache_alloc - an object of @cache, its bytes undefined; NULL without memory. */
__guest_entry void *kmem_cache_alloc(struct kmem_cache *cache)
{
	struct slab *slab = cache->partial ? cache->partial : new_slab(cache);
	void *object;

	if (!slab)
		return NULL;
	object = slab->freelist;
	slab->freelist = *free_pointer(cache, object);
	slab->inuse++;
	if (!slab->freelist)
		cache->partial = slab->next;
	return object;
}

/** kmem_cache_free - give @object back to @cache. */
__guest_entry void kmem_cache_free(struct kmem_cache *cache, void *object)
{
	struct slab *slab = (struct slab *)virt_to_head_page(object);

	if (!slab->freelist) {
		slab->next = cache->partial;
		cache->partial = slab;
	}
	*free_pointer(cache, object) = slab->freelist;
	slab->freelist = object;
	slab->inuse--;
}

/** kmalloc - @size bytes: from a slab up to 8 KiB, whole pages beyond. */
__guest_entry void *kmalloc(unsigned long size)
{
	unsigned int i;

	/* ZERO_SIZE_PTR */
	if (!size)
		return (void *)16;
	for (i = 0; i < ARRAY_SIZE(kmalloc_info); i++)
		if (size <= kmalloc_info[i].size)
			return kmem_cache_alloc(kmalloc_caches[i]);
	return alloc_pages(order_of((size + PAGE_SIZE - 1) >> PAGE_SHIFT));
}

/** kfree - free what kmalloc() gave. */
__guest_entry void kfree(void *object)
{
	struct page *page;

	if ((unsigned long)object <= 16)
		return;
	page = virt_to_head_page(object);
	if (page_has(page, PG_slab))
		kmem_cache_free(((struct slab *)page)->slab_cache, object);
	else
		free_pages(object, page_has(page, PG_head) ? page[1].compound_order : 0);
}

/**
 * kmem_cache_create_usercopy - a cache of objects of @size bytes of which user copies may touch @usersize bytes from
 * @useroffset on. @name is copied. NULL without memory or for a size or alignment that cannot be.
 */
__guest_entry struct kmem_cache *kmem_cache_create_usercopy(const char *name, unsigned int size, unsigned int align,
	slab_flags_t flags, unsigned int useroffset, unsigned int usersize)
{
	size_t length = strlen(name) + 1;
	struct kmem_cache *cache = kmem_cache_alloc(&kmem_cache_boot);
	char *copy = cache ? kmalloc(length) : NULL;

	if (!copy)
		return NULL;
	memcpy(copy, name, length);
	if (init_cache(cache, copy, size, align, flags, useroffset, usersize))
		return cache;
	kfree(copy);
	kmem_cache_free(&kmem_cache_boot, cache);
	return NULL;
}

/** kmem_cache_create - the same without a window for user copies. */
__guest_entry struct kmem_cache *kmem_cache_create(const char *name, unsigned int size, unsigned int align,
	slab_flags_t flags)
{
	return kmem_cache_create_usercopy(name, size, align, flags, 0, 0);
}

static bool slab_init(void)
{
	unsigned int i;

	if (!init_cache(&kmem_cache_boot, "kmem_cache", sizeof(struct kmem_cache), 8, 0, 0, 0))
		return false;
	for (i = 0; i < ARRAY_SIZE(kmalloc_info); i++) {
		unsigned int size = kmalloc_info[i].size;
		struct kmem_cache *cache = kmem_cache_alloc(&kmem_cache_boot);

		/* A power of two is aligned to itself, as Linux has it since 59bb47985c1d (5.4). */
		if (!cache || !init_cache(cache, kmalloc_info[i].name, size,
				size & (size - 1) ? 8 : size < PAGE_SIZE ? size : PAGE_SIZE, 0, 0, size))
			return false;
		kmalloc_caches[i] = cache;
	}
	return true;
}
