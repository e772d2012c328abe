/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How frames are linked. Where arch/<arch>.h says nothing else, a frame pointer leads to [saved frame, return address].
 * With FRAME_AT_STACK_POINTER a frame's lowest bytes are its record, and the stack pointer leads to it.
 */
#ifndef FRAME_HEADER
#define FRAME_HEADER (2 * sizeof(void *))
#endif
#ifndef FRAME_SAVED
#define FRAME_SAVED 0
#endif
#ifndef FRAME_BIAS
#define FRAME_BIAS 0
#endif
/* Makes the compiler store all of this function's record, where a leaf's is less than that. */
#ifndef WHOLE_FRAME_RECORD
#define WHOLE_FRAME_RECORD() do { } while (0)
#endif
#define next_frame(frame) (*(const unsigned long *)((frame) + FRAME_SAVED) + FRAME_BIAS)

/* The stack pointer of the function that calls this one, at the call. */
#ifndef CALLER_STACK_POINTER
#define CALLER_STACK_POINTER() ((unsigned long)__builtin_dwarf_cfa())
#endif

/*
 * Walks the frames above @caller, the stack pointer of __check_object_size()'s caller. An object must lie between two
 * neighbouring records.
 */
static __always_inline enum stack_verdict arch_within_stack_frames(unsigned long stack, unsigned long stack_end,
	unsigned long caller, unsigned long object, unsigned long n)
{
	unsigned long lowest, upper;

	if (!usercopy_check_frames)
		return NOT_STACK;
#ifdef FRAME_AT_STACK_POINTER
	lowest = caller + FRAME_HEADER;
	upper = next_frame(caller);
#else
	WHOLE_FRAME_RECORD();
	lowest = caller;
	/* From check_stack_object() to __check_object_size() to its caller. */
	upper = next_frame(next_frame((unsigned long)__builtin_frame_address(0) + FRAME_BIAS));
#endif
	while (upper >= stack && upper < stack_end) {
		if (object + n <= upper)
			return object < lowest ? BAD_STACK : GOOD_FRAME;
		lowest = upper + FRAME_HEADER;
		upper = next_frame(upper);
	}
	/* Off the chain. */
	return BAD_STACK;
}

/*
 * Where an object lies with respect to the current stack. @depth: below this function's stack pointer is bad (5.18).
 * @caller: as above.
 */
static __guest_entry enum stack_verdict check_stack_object(unsigned long object, unsigned long n, bool depth,
	unsigned long caller)
{
	const unsigned long stack = (unsigned long)task_stack_page(current), stack_end = stack + THREAD_SIZE;
	enum stack_verdict verdict;

	if (object >= stack_end || object + n <= stack)
		return NOT_STACK;
	/* It overlaps, so it must be inside. */
	if (object < stack || object + n > stack_end)
		return BAD_STACK;
	verdict = arch_within_stack_frames(stack, stack_end, caller, object, n);
	if (verdict != NOT_STACK)
		return verdict;
#ifdef ARCH_HAS_CURRENT_STACK_POINTER
	if (depth && object < current_stack_pointer)
		return BAD_STACK;
#endif
	return GOOD_STACK;
}
