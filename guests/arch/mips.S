/* SPDX-License-Identifier: GPL-2.0-or-later */
/* $4: destination, $5: source, $6: bytes. Returns the bytes left over: always 0. One routine under two names, as Linux has it. */
	.text
	.set noreorder
	.set noat
	.balign 16
	.globl __raw_copy_to_user, __raw_copy_from_user
	.type __raw_copy_to_user, @function
	.type __raw_copy_from_user, @function
__raw_copy_to_user:
__raw_copy_from_user:
	beqz $6, 2f
	 nop
1:	lbu $8, 0($5)
	ADD $6, $6, -1
	sb $8, 0($4)
	ADD $5, $5, 1
	bnez $6, 1b
	 ADD $4, $4, 1
2:	jr $31
	 move $2, $0
	.size __raw_copy_to_user, . - __raw_copy_to_user
	.size __raw_copy_from_user, . - __raw_copy_from_user

	.section .note.GNU-stack, "", @progbits
