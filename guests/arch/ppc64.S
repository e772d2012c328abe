/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ppc64.h"

	.data
	.balign 8
	.globl high_memory, __vmalloc_start, __vmalloc_end
high_memory: .quad 0xc008000000000000
	.size high_memory, 8
	.type high_memory, @object
__vmalloc_start: .quad 0xc008000000000000
	.size __vmalloc_start, 8
	.type __vmalloc_start, @object
__vmalloc_end: .quad 0xc00a000000000000
	.size __vmalloc_end, 8
	.type __vmalloc_end, @object

/* r3: destination, r4: source, r5: bytes. Returns the bytes left over: always 0. */
	.text
	.balign 16
	.globl __copy_tofrom_user
	.type __copy_tofrom_user, @function
__copy_tofrom_user:
	cmpdi 5, 0
	beq 2f
	mtctr 5
	addi 6, 3, -1
	addi 7, 4, -1
1:	lbzu 0, 1(7)
	stbu 0, 1(6)
	bdnz 1b
2:	li 3, 0
	blr
	.size __copy_tofrom_user, . - __copy_tofrom_user

	.section .note.GNU-stack, "", @progbits
