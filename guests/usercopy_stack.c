/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How a frame record is laid out: [saved frame, return address] wherever arch/<arch>.h says nothing else. */
#ifndef FRAME_SAVED
#define FRAME_SAVED 0
#define FRAME_HEADER (2 * sizeof(void *))
#define FRAME_BIAS 0
#endif
/* Bytes from __check_object_size()'s own record to its caller's stack pointer. */
#ifndef FRAME_ENTRY
#define FRAME_ENTRY FRAME_HEADER
#endif

/*
 * Walks the chain of saved frame pointers. An object must lie between two neighbouring links of it: above the pair
 * (saved frame pointer, return address) that the lower link points to, and not above the upper link. The first lower
 * link is that of __check_object_size(), our caller's caller once this is inlined.
 */
static __always_inline enum stack_verdict arch_within_stack_frames(unsigned long stack, unsigned long stack_end,
	unsigned long object, unsigned long n)
{
	unsigned long lower, upper = 0, lowest;

	if (!usercopy_check_frames)
		return NOT_STACK;
	lower = (unsigned long)__builtin_frame_address(1);
	lowest = lower + FRAME_ENTRY;
	if (lower)
		upper = *(const unsigned long *)(lower + FRAME_SAVED) + FRAME_BIAS;
	while (upper >= stack && upper < stack_end) {
		if (object + n <= upper)
			return object < lowest ? BAD_STACK : GOOD_FRAME;
		lowest = upper + FRAME_HEADER;
		upper = *(const unsigned long *)(upper + FRAME_SAVED) + FRAME_BIAS;
	}
	/* Off the chain. */
	return BAD_STACK;
}

/* Where an object lies with respect to the current stack. @depth: below this function's stack pointer is bad (5.18). */
static __guest_entry enum stack_verdict check_stack_object(unsigned long object, unsigned long n, bool depth)
{
	const unsigned long stack = (unsigned long)task_stack_page(current), stack_end = stack + THREAD_SIZE;
	enum stack_verdict verdict;

	if (object >= stack_end || object + n <= stack)
		return NOT_STACK;
	/* It overlaps, so it must be inside. */
	if (object < stack || object + n > stack_end)
		return BAD_STACK;
	verdict = arch_within_stack_frames(stack, stack_end, object, n);
	if (verdict != NOT_STACK)
		return verdict;
#ifdef ARCH_HAS_CURRENT_STACK_POINTER
	if (depth && object < current_stack_pointer)
		return BAD_STACK;
#endif
	return GOOD_STACK;
}
