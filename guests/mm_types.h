/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The structures by which Linux 6.1 knows memory, under its names. Only members that this guest uses are here, in an
 * order of their own: who reads them takes offsets from BTF. The two exceptions are Linux's own rules: the order of a
 * compound page lies in its first tail page, and struct slab overlays struct page.
 */
struct list_head {
	struct list_head *next, *prev;
};

struct rb_node {
	unsigned long __rb_parent_color;
	struct rb_node *rb_right;
	struct rb_node *rb_left;
};

struct rb_root {
	struct rb_node *rb_node;
};

typedef struct {
	int counter;
} atomic_t;

/* Values of a 6.1 kernel with an MMU; only those that are asked about, and one of our own. */
enum pageflags {
	PG_locked,
	PG_referenced,
	PG_uptodate,
	PG_dirty,
	PG_lru,
	PG_active,
	PG_workingset,
	PG_waiters,
	PG_error,
	PG_slab,
	PG_owner_priv_1,
	PG_arch_1,
	PG_reserved,
	PG_private,
	PG_private_2,
	PG_writeback,
	PG_head,
	/*
	 * Not Linux's: it keeps MIGRATE_CMA per pageblock, outside struct page. Here a page says it itself, so that a
	 * test can have CMA pages next to others.
	 */
	PG_own_migrate_cma = 30,
};

struct page {
	unsigned long flags;
	union {
		struct {
			struct page *next_free;
			unsigned long index;
			unsigned long private;
		};
		/* Tail pages: the head's address with bit 0 set. */
		struct {
			unsigned long compound_head;
			unsigned char compound_dtor;
			unsigned char compound_order;
			atomic_t compound_mapcount;
			atomic_t compound_pincount;
		};
		unsigned long words[5];
	};
	unsigned int page_type;
	atomic_t _refcount;
#if BITS_PER_LONG == 64
	unsigned long memcg_data;
#endif
};

/* A head page and, from _flags_1 on, its first tail page. */
struct folio {
	union {
		struct {
			unsigned long flags;
			unsigned long private_words[5];
			atomic_t _mapcount;
			atomic_t _refcount;
#if BITS_PER_LONG == 64
			unsigned long memcg_data;
#endif
		};
		struct page page;
	};
	unsigned long _flags_1;
	unsigned long __head;
	unsigned char _folio_dtor;
	unsigned char _folio_order;
	atomic_t _total_mapcount;
	atomic_t _pincount;
};

struct slab {
	unsigned long __page_flags;
	/* In the place of compound_head, whose bit 0 stays clear because pointers are even. */
	struct slab *next;
	struct kmem_cache *slab_cache;
	void *freelist;
	unsigned int inuse;
	unsigned int objects;
};

_Static_assert(sizeof(struct page) == 8 * sizeof(unsigned long), "struct page is as large as Linux's");
_Static_assert(sizeof(struct slab) <= sizeof(struct page), "struct slab overlays struct page");
_Static_assert(__builtin_offsetof(struct folio, _folio_order) ==
	sizeof(struct page) + __builtin_offsetof(struct page, compound_order), "order of a folio");

typedef unsigned int slab_flags_t;

/* Linux has these as macros (include/linux/slab.h); an enum is seen in BTF. */
enum slab_flags {
	SLAB_RED_ZONE = 0x00000400,
	SLAB_POISON = 0x00000800,
	SLAB_HWCACHE_ALIGN = 0x00002000,
	SLAB_STORE_USER = 0x00010000,
	SLAB_TYPESAFE_BY_RCU = 0x00080000,
};

struct kmem_cache {
	slab_flags_t flags;
	/* Bytes from one object to the next, and of what the user asked for. */
	unsigned int size;
	unsigned int object_size;
	/* Offset of the free pointer in a free object. */
	unsigned int offset;
	/* Offset of the metadata behind the object. */
	unsigned int inuse;
	unsigned int align;
	unsigned int red_left_pad;
	/* Pages of a slab, as an order, and objects in it. */
	unsigned int order;
	unsigned int objects;
	const char *name;
	struct slab *partial;
	struct kmem_cache *next;
	unsigned int useroffset;
	unsigned int usersize;
};

struct vm_struct {
	struct vm_struct *next;
	void *addr;
	unsigned long size;
	unsigned long flags;
	struct page **pages;
	unsigned int nr_pages;
};

/* include/linux/vmalloc.h */
enum vm_flags {
	VM_ALLOC = 0x02,
	VM_MAP = 0x04,
	VM_NO_GUARD = 0x40,
};

struct vmap_area {
	unsigned long va_start;
	unsigned long va_end;
	struct rb_node rb_node;
	struct vm_struct *vm;
};

struct thread_info {
	unsigned long flags;
};

struct task_struct {
	struct thread_info thread_info;
	unsigned int __state;
	void *stack;
	int pagefault_disabled;
	int pid;
	char comm[16];
	struct task_struct *next_task;
};
