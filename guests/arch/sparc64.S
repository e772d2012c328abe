/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "sparc64.h"

	.register %g2, #scratch
	.register %g3, #scratch

	.data
	.align 8
	.globl PAGE_OFFSET, VMALLOC_END
PAGE_OFFSET: .xword 0xfff8000000000000
	.size PAGE_OFFSET, 8
	.type PAGE_OFFSET, #object
VMALLOC_END: .xword 0x0000010000000000
	.size VMALLOC_END, 8
	.type VMALLOC_END, #object

/* %o0: destination, %o1: source, %o2: bytes. Returns the bytes left over: always 0. */
	.macro copy_user name
	.align 32
	.globl \name
	.type \name, #function
\name:
	brz,pn %o2, 2f
	 nop
1:	ldub [%o1], %g1
	stb %g1, [%o0]
	add %o1, 1, %o1
	add %o0, 1, %o0
	subcc %o2, 1, %o2
	bne,pt %xcc, 1b
	 nop
2:	retl
	 mov 0, %o0
	.size \name, . - \name
	.endm

	.text
	copy_user raw_copy_to_user
	copy_user raw_copy_from_user

	.section .note.GNU-stack, "", %progbits
