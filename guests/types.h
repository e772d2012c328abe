/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a freestanding translation unit needs before anything else. */
typedef _Bool bool;
typedef __SIZE_TYPE__ size_t;
#define true 1
#define false 0
#define NULL ((void *)0)

#define EINVAL 22
#define EBUSY 16
#define ENOMEM 12

#define PAGE_SIZE (1UL << PAGE_SHIFT)
#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))
#define ALIGN(value, to) (((value) + ((to) - 1)) & ~((__typeof__(value))(to) - 1))
#define container_of(pointer, type, member) ((type *)((char *)(pointer) - __builtin_offsetof(type, member)))

/*
 * A function that the host calls, hooks or single-steps: it stays one function under its own name, and callers make
 * no assumption about what it leaves alone.
 */
#define __guest_entry __attribute__((noipa, used))
#define __always_inline inline __attribute__((always_inline))
#define noinline __attribute__((noinline))
#define __noreturn __attribute__((noreturn))

extern char _text[], _stext[], _etext[], __start_rodata[], __end_rodata[];
extern char _sdata[], _edata[], __bss_start[], __bss_stop[], _end[];
