/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "sparc.h"

	.data
	.align 8
	.globl phys_base, init_thread_link
phys_base: .word 0
	.size phys_base, 4
	.type phys_base, #object
init_thread_link: .word 0
	.word init_task
	.size init_thread_link, 8
	.type init_thread_link, #object

/* %o0: destination, %o1: source, %o2: bytes. Returns the bytes left over: always 0. */
	.text
	.align 32
	.globl __copy_user
	.type __copy_user, #function
__copy_user:
	cmp %o2, 0
	be 2f
	 nop
1:	ldub [%o1], %g1
	stb %g1, [%o0]
	add %o1, 1, %o1
	add %o0, 1, %o0
	subcc %o2, 1, %o2
	bne 1b
	 nop
2:	retl
	 mov 0, %o0
	.size __copy_user, . - __copy_user

	.section .note.GNU-stack, "", %progbits
