/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "i386.h"

	.data
	.balign 4
	.globl high_memory, current_task
/* What leaves 128 MiB to vmalloc, as on a machine with more RAM than lowmem can show. */
high_memory: .long 0xf6bfe000
	.size high_memory, 4
	.type high_memory, @object
current_task: .long init_task
	.size current_task, 4
	.type current_task, @object

/* eax: destination, edx: source, ecx: bytes. Returns the bytes left over: always 0. */
	.text
	.balign 16
	.globl __copy_user_ll
	.type __copy_user_ll, @function
__copy_user_ll:
	pushl %esi
	pushl %ebx
	movl %ecx, %esi
	shrl $2, %esi
	jz 2f
1:	movl (%edx), %ebx
	movl %ebx, (%eax)
	addl $4, %edx
	addl $4, %eax
	decl %esi
	jnz 1b
2:	andl $3, %ecx
	jz 4f
3:	movb (%edx), %bl
	movb %bl, (%eax)
	incl %edx
	incl %eax
	decl %ecx
	jnz 3b
4:	xorl %eax, %eax
	popl %ebx
	popl %esi
	ret
	.size __copy_user_ll, . - __copy_user_ll

	.section .note.GNU-stack, "", @progbits
