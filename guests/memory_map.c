/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the host maps before the first call; it reads this table from the ELF file. */
enum guest_region_kind {
	/** All of RAM from physical 0 on; `size` is 0, for the host chooses it. */
	GUEST_REGION_LINEAR_MAP,
	/** The bytes of RAM from `physical` on, seen a second time at `virtual`: the kernel image. */
	GUEST_REGION_IMAGE,
	/** Memory of its own, zeroed, that is no RAM: what vmalloc() hands out. */
	GUEST_REGION_VMALLOC,
	/** The same behind slots of kmap(): no page of RAM is seen there. */
	GUEST_REGION_KMAP,
};

struct guest_region {
	unsigned long virtual;
	unsigned long physical;
	unsigned long size;
	enum guest_region_kind kind;
};

extern char guest_image_size[];

__attribute__((used)) const struct guest_region guest_memory_map[] = {
	{ LINEAR_MAP_START, 0, 0, GUEST_REGION_LINEAR_MAP },
	{ KIMAGE_VADDR, KIMAGE_PHYS, (unsigned long)guest_image_size, GUEST_REGION_IMAGE },
	{ VMALLOC_ARENA_START, 0, VMALLOC_ARENA_SIZE, GUEST_REGION_VMALLOC },
#ifdef ARCH_HAS_HIGHMEM
	{ PKMAP_BASE, 0, KMAP_SLOTS << PAGE_SHIFT, GUEST_REGION_KMAP },
#endif
};
__attribute__((used)) const unsigned long guest_memory_map_count = ARRAY_SIZE(guest_memory_map);
