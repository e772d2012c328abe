/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where the built-in guest's memory lies in a process of the host: for the guest (host.h) and for the process (silicon.c). */
#define THREAD_SIZE 16384UL
#define LINEAR_MAP_START 0x100000000000UL
#define VMALLOC_ARENA_START 0x200000000000UL
