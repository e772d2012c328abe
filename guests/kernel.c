/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A small freestanding kernel that plays Linux for the usercopy check: one translation unit, lower parts first, so
 * that its types are described by one BTF section.
 */
#include "types.h"
#include ARCH_HEADER
#include "mm_types.h"

#include "lib.c"
#include "printk.c"
#include "page_alloc.c"
#include "slab.c"
#include "highmem.c"
#include "vmalloc.c"
#include "task.c"
#include "memory_map.c"
#include "uaccess.c"
#ifdef HARDENED_USERCOPY
#include "usercopy.c"
#endif
#include "cases.c"
#include "init.c"
