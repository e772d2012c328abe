/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The few library functions that the compiler may call, and strings. */
void *memset(void *to, int value, size_t n)
{
	char *byte = to;

	while (n--)
		*byte++ = value;
	return to;
}

void *memcpy(void *to, const void *from, size_t n)
{
	char *byte = to;
	const char *source = from;

	while (n--)
		*byte++ = *source++;
	return to;
}

size_t strlen(const char *string)
{
	size_t n = 0;

	while (string[n])
		n++;
	return n;
}
