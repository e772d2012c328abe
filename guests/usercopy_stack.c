/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Walks the chain of saved frame pointers. An object must lie between two neighbouring links of it: above the pair
 * (saved frame pointer, return address) that the lower link points to, and not above the upper link. The first lower
 * link is that of __check_object_size(), our caller's caller once this is inlined.
 */
static __always_inline enum stack_verdict arch_within_stack_frames(unsigned long stack, unsigned long stack_end,
	unsigned long object, unsigned long n)
{
	unsigned long lower, upper = 0;

	if (!usercopy_check_frames)
		return NOT_STACK;
	lower = (unsigned long)__builtin_frame_address(1);
	if (lower)
		upper = (unsigned long)__builtin_frame_address(2);
	for (; upper >= stack && upper < stack_end; lower = upper, upper = *(const unsigned long *)upper)
		if (object + n <= upper)
			return object < lower + 2 * sizeof(void *) ? BAD_STACK : GOOD_FRAME;
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
	if (depth && object < current_stack_pointer)
		return BAD_STACK;
	return GOOD_STACK;
}
