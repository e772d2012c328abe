/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "riscv64.h"

/*
 * a0: destination, a1: source, a2: bytes. User memory is open between the two writes of sstatus.SUM. Returns the bytes
 * left over: always 0. One routine under two names, as Linux has it.
 */
	.text
	.balign 4
	.globl __asm_copy_to_user, __asm_copy_from_user
	.type __asm_copy_to_user, @function
	.type __asm_copy_from_user, @function
__asm_copy_to_user:
__asm_copy_from_user:
	li t6, 0x40000
	csrs sstatus, t6
	li t0, 8
1:	bltu a2, t0, 2f
	ld t1, 0(a1)
	sd t1, 0(a0)
	addi a1, a1, 8
	addi a0, a0, 8
	addi a2, a2, -8
	j 1b
2:	beqz a2, 3f
	lbu t1, 0(a1)
	sb t1, 0(a0)
	addi a1, a1, 1
	addi a0, a0, 1
	addi a2, a2, -1
	j 2b
3:	csrc sstatus, t6
	li a0, 0
	ret
	.size __asm_copy_to_user, . - __asm_copy_to_user
	.size __asm_copy_from_user, . - __asm_copy_from_user

	.section .note.GNU-stack, "", @progbits
