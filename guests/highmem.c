/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Slots of kmap() at fixed addresses. There is no high memory and no MMU: the first few slots are memory of their own,
 * all that the check needs, for it asks about addresses only.
 */
#ifdef ARCH_HAS_HIGHMEM
#define KMAP_SLOTS 4UL

/* is_kmap_addr() of 6.1: the fixmap's slots are not asked about yet. */
static inline bool is_kmap_addr(const void *pointer)
{
	unsigned long address = (unsigned long)pointer;

	return address >= PKMAP_BASE && address < PKMAP_BASE + ((unsigned long)LAST_PKMAP << PAGE_SHIFT);
}

/** kmap_slot - the address of a slot; NULL beyond the last that has memory. */
__guest_entry void *kmap_slot(unsigned long slot)
{
	return slot < KMAP_SLOTS ? (void *)(PKMAP_BASE + (slot << PAGE_SHIFT)) : NULL;
}
#else
static inline bool is_kmap_addr(const void *pointer)
{
	return false;
}
#endif
