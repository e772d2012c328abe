/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Pages: FLATMEM from page frame 0, and an allocator of power-of-two blocks. Blocks are carved from the bottom of
 * memory and, once freed, kept per order; they are never merged, so addresses depend only on the sequence of calls.
 * Functions that the host calls take and return addresses in the linear map; 0 means no memory.
 */
#define MAX_ORDER 11

struct page *mem_map;
unsigned long max_mapnr;

#ifdef ARCH_HAS_MEMBLOCK
/* include/linux/memblock.h: which physical memory there is; one region here. */
struct memblock_region {
	unsigned long base;
	unsigned long size;
	unsigned int flags;
};

struct memblock_type {
	unsigned long cnt;
	struct memblock_region *regions;
};

struct memblock {
	struct memblock_type memory;
};

static struct memblock_region memblock_memory_regions[1];
struct memblock memblock = { .memory = { .cnt = 1, .regions = memblock_memory_regions } };

/* Struct pages come in whole page blocks (a4d5613c4dc6, 5.14): the largest block of the buddy allocator. */
#define MEM_MAP_FRAMES (1UL << (MAX_ORDER - 1))
#else
#define MEM_MAP_FRAMES 1UL
#endif

static struct page *free_blocks[MAX_ORDER];
static unsigned long next_pfn;
/* Page frames of the image and of mem_map itself. */
static unsigned long kernel_start_pfn, kernel_end_pfn;

static inline bool pfn_valid(unsigned long pfn)
{
	return (pfn & ~(MEM_MAP_FRAMES - 1)) < max_mapnr;
}

static inline void *phys_to_virt(unsigned long physical)
{
	return (void *)(physical + PAGE_OFFSET);
}

static inline struct page *virt_to_page(const void *address)
{
	return mem_map + (virt_to_phys((unsigned long)address) >> PAGE_SHIFT);
}

static inline unsigned long page_to_pfn(const struct page *page)
{
	return page - mem_map;
}

static inline void *page_address(const struct page *page)
{
	return phys_to_virt(page_to_pfn(page) << PAGE_SHIFT);
}

static inline struct page *compound_head(struct page *page)
{
	return page->compound_head & 1 ? (struct page *)(page->compound_head - 1) : page;
}

static inline struct page *virt_to_head_page(const void *address)
{
	return compound_head(virt_to_page(address));
}

static inline bool page_has(const struct page *page, enum pageflags flag)
{
	return page->flags >> flag & 1;
}

static struct page *take_block(unsigned int order)
{
	unsigned long count = 1UL << order, pfn;
	struct page *page = free_blocks[order];

	if (page) {
		free_blocks[order] = page->next_free;
		return page;
	}
	pfn = ALIGN(next_pfn, count);
	if (pfn < kernel_end_pfn && pfn + count > kernel_start_pfn)
		pfn = ALIGN(kernel_end_pfn, count);
	if (pfn + count > max_mapnr)
		return NULL;
	next_pfn = pfn + count;
	return mem_map + pfn;
}

static void clear_pages(struct page *page, unsigned long count)
{
	unsigned long i, word;

	for (i = 0; i < count; i++) {
		page[i].flags = 0;
		for (word = 0; word < ARRAY_SIZE(page->words); word++)
			page[i].words[word] = 0;
		page[i]._refcount.counter = 0;
	}
}

static struct page *new_compound_page(unsigned int order)
{
	struct page *page = order < MAX_ORDER ? take_block(order) : NULL;
	unsigned long i;

	if (!page)
		return NULL;
	clear_pages(page, 1UL << order);
	page->_refcount.counter = 1;
	if (order) {
		page->flags |= 1UL << PG_head;
		page[1].compound_order = order;
		for (i = 1; i < 1UL << order; i++)
			page[i].compound_head = (unsigned long)page + 1;
	}
	return page;
}

/** alloc_pages - 2^order pages, compound (__GFP_COMP) if more than one; their bytes are as they were. */
__guest_entry void *alloc_pages(unsigned long order)
{
	struct page *page = new_compound_page(order);

	return page ? page_address(page) : NULL;
}

static unsigned int order_of(unsigned long count)
{
	unsigned int order = 0;

	while (order < MAX_ORDER && 1UL << order < count)
		order++;
	return order;
}

/** alloc_page_plain - @count neighbouring pages, none of them compound; the block is rounded up to a power of two. */
__guest_entry void *alloc_page_plain(unsigned long count)
{
	unsigned int order = order_of(count);
	struct page *page = count && order < MAX_ORDER ? take_block(order) : NULL;
	unsigned long i;

	if (!page)
		return NULL;
	clear_pages(page, 1UL << order);
	for (i = 0; i < 1UL << order; i++)
		page[i]._refcount.counter = 1;
	return page_address(page);
}

/** free_pages - give back a block of alloc_pages(), or one of alloc_page_plain() with the order of its count. */
__guest_entry void free_pages(void *address, unsigned long order)
{
	struct page *page = virt_to_page(address);

	if (order >= MAX_ORDER)
		return;
	clear_pages(page, 1UL << order);
	page->next_free = free_blocks[order];
	free_blocks[order] = page;
}

static void set_page_flag(void *address, unsigned long count, enum pageflags flag)
{
	struct page *page = virt_to_page(address);

	while (count--)
		page++->flags |= 1UL << flag;
}

/** SetPageReserved - mark @count pages from @address on. */
__guest_entry void SetPageReserved(void *address, unsigned long count)
{
	set_page_flag(address, count, PG_reserved);
}

/** mark_pages_cma - let @count pages from @address on be of migrate type CMA. */
__guest_entry void mark_pages_cma(void *address, unsigned long count)
{
	set_page_flag(address, count, PG_own_migrate_cma);
}

/* Builds mem_map behind the image. Frames of the first MiB, of the image and of mem_map are Reserved. */
static bool page_alloc_init(unsigned long ram_bytes)
{
	unsigned long image_end = ALIGN(KIMAGE_PHYS + (unsigned long)(_end - _text), PAGE_SIZE);
	unsigned long frames = ram_bytes >> PAGE_SHIFT, first_mib = (1UL << 20) >> PAGE_SHIFT;
	unsigned long map_end = ALIGN(image_end + ALIGN(frames, MEM_MAP_FRAMES) * sizeof(struct page), PAGE_SIZE);

	if (ram_bytes & (PAGE_SIZE - 1) || ram_bytes < map_end + (4UL << 20) || ram_bytes > 1UL << 30)
		return false;
	mem_map = phys_to_virt(image_end);
	max_mapnr = frames;
#ifdef ARCH_HAS_MEMBLOCK
	memblock_memory_regions[0].size = ram_bytes;
#endif
	kernel_start_pfn = KIMAGE_PHYS >> PAGE_SHIFT;
	kernel_end_pfn = map_end >> PAGE_SHIFT;
	next_pfn = first_mib;
	SetPageReserved(phys_to_virt(0), first_mib);
	SetPageReserved(phys_to_virt(KIMAGE_PHYS), kernel_end_pfn - kernel_start_pfn);
	return true;
}
