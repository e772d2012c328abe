/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "arm64.h"

	.data
	.balign 8
	.globl memstart_addr, kimage_voffset, vabits_actual
memstart_addr: .quad 0
	.size memstart_addr, 8
	.type memstart_addr, %object
kimage_voffset: .quad KIMAGE_VADDR - KIMAGE_PHYS
	.size kimage_voffset, 8
	.type kimage_voffset, %object
vabits_actual: .quad 48
	.size vabits_actual, 8
	.type vabits_actual, %object

/*
 * x0: destination, x1: source, x2: bytes. Returns the bytes left over: always 0, for there is no page that could be
 * missing.
 */
	.macro copy_user name
	.balign 16
	.globl \name
	.type \name, %function
\name:
	subs x2, x2, #32
	b.lo 2f
1:	ldp x3, x4, [x1], #16
	ldp x5, x6, [x1], #16
	stp x3, x4, [x0], #16
	stp x5, x6, [x0], #16
	subs x2, x2, #32
	b.hs 1b
2:	adds x2, x2, #32
	b.eq 5f
3:	subs x2, x2, #8
	b.lo 4f
	ldr x3, [x1], #8
	str x3, [x0], #8
	b 3b
4:	adds x2, x2, #8
	b.eq 5f
6:	ldrb w3, [x1], #1
	strb w3, [x0], #1
	subs x2, x2, #1
	b.ne 6b
5:	mov x0, #0
	ret
	.size \name, . - \name
	.endm

	.text
	copy_user __arch_copy_to_user
	copy_user __arch_copy_from_user

	.section .note.GNU-stack, "", %progbits
