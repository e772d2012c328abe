/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ppc.h"

	.data
	.balign 8
	.globl high_memory, ioremap_bot
/* 64 MiB of RAM. */
high_memory: .long 0xc4000000
	.size high_memory, 4
	.type high_memory, @object
ioremap_bot: .long 0xf0000000
	.size ioremap_bot, 4
	.type ioremap_bot, @object

/* r3: destination, r4: source, r5: bytes. Returns the bytes left over: always 0. */
	.text
	.balign 16
	.globl __copy_tofrom_user
	.type __copy_tofrom_user, @function
__copy_tofrom_user:
	cmpwi 5, 0
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

/* The time base, which ends Unicorn 2.0.1: what a host must survive. */
	.balign 16
	.globl get_tb
	.type get_tb, @function
get_tb:
	mftb 3
	blr
	.size get_tb, . - get_tb

	.section .note.GNU-stack, "", @progbits
