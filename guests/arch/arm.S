/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "arm.h"

	.data
	.balign 4
	.globl high_memory
high_memory: .long 0xf0000000
	.size high_memory, 4
	.type high_memory, %object

/* r0: destination, r1: source, r2: bytes. Returns the bytes left over: always 0. */
	.macro copy_user name
	.balign 16
	.globl \name
	.type \name, %function
\name:
	cmp r2, #0
	beq 2f
1:	ldrb r3, [r1], #1
	strb r3, [r0], #1
	subs r2, r2, #1
	bne 1b
2:	mov r0, #0
	bx lr
	.size \name, . - \name
	.endm

	.text
	.arm
	copy_user arm_copy_to_user
	copy_user arm_copy_from_user

	.section .note.GNU-stack, "", %progbits
