/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Copies between user and kernel memory. All return the number of bytes that were not copied. */
static inline bool access_ok(const void *pointer, unsigned long n)
{
	return n <= TASK_SIZE_MAX && (unsigned long)pointer <= TASK_SIZE_MAX - n;
}

/** _copy_to_user - copy without asking whether the kernel's side of it is an object. */
__guest_entry unsigned long _copy_to_user(void *to, const void *from, unsigned long n)
{
	if (access_ok(to, n))
		n = raw_copy_to_user(to, from, n);
	return n;
}

/** _copy_from_user - the other way; what could not be copied is zeroed. */
__guest_entry unsigned long _copy_from_user(void *to, const void *from, unsigned long n)
{
	unsigned long left = n;

	if (access_ok(from, n))
		left = raw_copy_from_user(to, from, n);
	if (left)
		memset((char *)to + (n - left), 0, left);
	return left;
}

#ifdef HARDENED_USERCOPY
void __check_object_size(const void *pointer, unsigned long n, bool to_user);

static __always_inline void check_object_size(const void *pointer, unsigned long n, bool to_user)
{
	if (!__builtin_constant_p(n))
		__check_object_size(pointer, n, to_user);
}
#else
static __always_inline void check_object_size(const void *pointer, unsigned long n, bool to_user)
{
}
#endif

static __always_inline unsigned long copy_to_user(void *to, const void *from, unsigned long n)
{
	check_object_size(from, n, true);
	return _copy_to_user(to, from, n);
}

static __always_inline unsigned long copy_from_user(void *to, const void *from, unsigned long n)
{
	check_object_size(to, n, false);
	return _copy_from_user(to, from, n);
}
