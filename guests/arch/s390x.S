/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "s390x.h"

	.machine z10

	.data
	.balign 8
	.globl VMALLOC_START, VMALLOC_END
VMALLOC_START: .quad 0x37f7ff00000
	.size VMALLOC_START, 8
	.type VMALLOC_START, @object
VMALLOC_END: .quad 0x3ff7ff00000
	.size VMALLOC_END, 8
	.type VMALLOC_END, @object

/*
 * r2: destination, r3: source, r4: bytes. mvcos moves at most 4096 bytes at a time and says with condition code 3 that
 * there were more. r0 says which operand lies in the secondary space, where the user is: the first in its upper half.
 * Returns the bytes left over: always 0.
 */
	.macro copy_user name, access
	.balign 16
	.globl \name
	.type \name, @function
\name:
	llilf %r0, \access
	ltgr %r4, %r4
	jz 2f
1:	mvcos 0(%r2), 0(%r3), %r4
	jz 2f
	aghi %r2, 4096
	aghi %r3, 4096
	aghi %r4, -4096
	j 1b
2:	lghi %r2, 0
	br %r14
	.size \name, . - \name
	.endm

	.text
	copy_user raw_copy_to_user, 0x00810000
	copy_user raw_copy_from_user, 0x00000081

	.section .note.GNU-stack, "", @progbits
