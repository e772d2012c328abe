/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Copies that only guest code can make, for they need its frames. All return the bytes that were not copied. @to_user
 * chooses the direction; @user is the address in user memory.
 */
#define OBJECT_SIZE 64

static __always_inline unsigned long copy_either_way(void *user, void *kernel, unsigned long n, bool to_user)
{
	return to_user ? copy_to_user(user, kernel, n) : copy_from_user(kernel, user, n);
}

/* Keeps the compiler from seeing where a pointer came from. */
#define hide_origin(pointer) asm volatile("" : "+r"(pointer) : : "memory")

/** do_copy - copy between @user and any kernel address, from a frame that has locals. */
__guest_entry unsigned long do_copy(void *user, void *kernel, unsigned long n, bool to_user)
{
	unsigned char locals[32];
	unsigned char *touch = locals;
	unsigned long left;

	hide_origin(touch);
	touch[0] = 1;
	left = copy_either_way(user, kernel, n, to_user);
	hide_origin(touch);
	return left;
}

/** do_copy_constant - the same for 64 bytes, known when this was compiled: no kernel checks such a copy. */
__guest_entry unsigned long do_copy_constant(void *user, void *kernel, bool to_user)
{
	return copy_either_way(user, kernel, OBJECT_SIZE, to_user);
}

/** copy_stack_frame_good - @n bytes (at most 64) of a local of this frame. */
__guest_entry unsigned long copy_stack_frame_good(void *user, unsigned long n, bool to_user)
{
	unsigned char object[OBJECT_SIZE];
	unsigned char *pointer = object;
	unsigned long i;

	for (i = 0; i < sizeof(object); i++)
		object[i] = i;
	hide_origin(pointer);
	return copy_either_way(user, pointer, n, to_user);
}

static __guest_entry unsigned long copy_from_callee(void *user, void *object, unsigned long n, bool to_user)
{
	return copy_either_way(user, object, n, to_user);
}

/** copy_stack_frame_caller - @n bytes (at most 64) of a local of the caller's frame. */
__guest_entry unsigned long copy_stack_frame_caller(void *user, unsigned long n, bool to_user)
{
	unsigned char object[OBJECT_SIZE];
	unsigned char *pointer = object;
	unsigned long left;

	memset(object, 0x5a, sizeof(object));
	hide_origin(pointer);
	left = copy_from_callee(user, pointer, n, to_user);
	hide_origin(pointer);
	return left;
}

static __guest_entry unsigned char *leave_dead_object(int value)
{
	unsigned char object[4 * OBJECT_SIZE];
	unsigned char *pointer = object;

	memset(object, value, sizeof(object));
	hide_origin(pointer);
	return pointer;
}

/**
 * copy_stack_frame_bad - @n bytes of the local of a function that has returned: below the stack pointer. Where nothing
 * checks, a copy from the user overwrites frames that are in use.
 */
__guest_entry unsigned long copy_stack_frame_bad(void *user, unsigned long n, bool to_user)
{
	return copy_either_way(user, leave_dead_object(0x5a), n, to_user);
}

/**
 * copy_stack_frame_record - @n bytes from one word below this frame's own record (saved frame pointer and return
 * address): within the stack, but across frames. Unchecked, a copy from the user overwrites the return address.
 */
__guest_entry unsigned long copy_stack_frame_record(void *user, unsigned long n, bool to_user)
{
	unsigned char *pointer = (unsigned char *)__builtin_frame_address(0) - sizeof(void *);

	hide_origin(pointer);
	return copy_either_way(user, pointer, n, to_user);
}

/** copy_stack_beyond - @n bytes from the stack's last word on, past its end if more than a word. */
__guest_entry unsigned long copy_stack_beyond(void *user, unsigned long n, bool to_user)
{
	unsigned char *pointer = (unsigned char *)task_stack_page(current) + THREAD_SIZE - sizeof(void *);

	return copy_either_way(user, pointer, n, to_user);
}

/** copy_many - @count checked copies to the user, for benchmarks. Returns the sum of bytes not copied. */
__guest_entry unsigned long copy_many(void *user, const void *kernel, unsigned long n, unsigned long count)
{
	unsigned long left = 0;

	while (count--)
		left += copy_to_user(user, kernel, n);
	return left;
}

/** copy_many_unchecked - the same without the guest's own check. */
__guest_entry unsigned long copy_many_unchecked(void *user, const void *kernel, unsigned long n, unsigned long count)
{
	unsigned long left = 0;

	while (count--)
		left += _copy_to_user(user, kernel, n);
	return left;
}
