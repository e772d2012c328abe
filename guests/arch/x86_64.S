/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "x86_64.h"

	.data
	.balign 8
	.globl page_offset_base, vmalloc_base, vmemmap_base, phys_base, current_task
page_offset_base: .quad 0xffff888000000000
	.size page_offset_base, 8
	.type page_offset_base, @object
vmalloc_base: .quad 0xffffc90000000000
	.size vmalloc_base, 8
	.type vmalloc_base, @object
/* Nothing lies there: struct pages are in mem_map. */
vmemmap_base: .quad 0xffffea0000000000
	.size vmemmap_base, 8
	.type vmemmap_base, @object
phys_base: .quad 0
	.size phys_base, 8
	.type phys_base, @object
current_task: .quad init_task
	.size current_task, 8
	.type current_task, @object

	.text
	.balign 16
	.globl copy_user_generic_unrolled
	.type copy_user_generic_unrolled, @function
/*
 * rdi: destination, rsi: source, edx: bytes. Returns the bytes left over: always 0, for there is no page that could
 * be missing.
 */
copy_user_generic_unrolled:
	movl %edx, %ecx
	shrl $5, %ecx
	jz 2f
1:	movq (%rsi), %rax
	movq 8(%rsi), %r8
	movq 16(%rsi), %r9
	movq 24(%rsi), %r10
	movq %rax, (%rdi)
	movq %r8, 8(%rdi)
	movq %r9, 16(%rdi)
	movq %r10, 24(%rdi)
	addq $32, %rsi
	addq $32, %rdi
	decl %ecx
	jnz 1b
2:	andl $31, %edx
	movl %edx, %ecx
	shrl $3, %ecx
	jz 4f
3:	movq (%rsi), %rax
	movq %rax, (%rdi)
	addq $8, %rsi
	addq $8, %rdi
	decl %ecx
	jnz 3b
4:	andl $7, %edx
	jz 6f
5:	movb (%rsi), %al
	movb %al, (%rdi)
	incq %rsi
	incq %rdi
	decl %edx
	jnz 5b
6:	xorl %eax, %eax
	ret
	.size copy_user_generic_unrolled, . - copy_user_generic_unrolled

	.section .note.GNU-stack, "", @progbits
