/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The kernel log: bytes [0, log_end) of __log_buf, each message as printed, newline included, without time or level.
 * The host may set log_end back to 0. A message that no longer fits is counted and dropped whole.
 */
#define LOG_BUF_LEN (1UL << 14)

char __log_buf[LOG_BUF_LEN];
unsigned long log_end;
unsigned long log_dropped;

struct log_writer {
	unsigned long position;
	bool overflow;
};

static void put_character(struct log_writer *log, char character)
{
	if (log->position >= LOG_BUF_LEN)
		log->overflow = true;
	else
		__log_buf[log->position++] = character;
}

static void put_string(struct log_writer *log, const char *string, unsigned int width)
{
	size_t length;

	if (!string)
		string = "(null)";
	for (length = strlen(string); length < width; width--)
		put_character(log, ' ');
	while (*string)
		put_character(log, *string++);
}

static void put_number(struct log_writer *log, unsigned long value, unsigned int base, unsigned int width)
{
	char digits[24];
	unsigned int n = 0;

	do {
		digits[n++] = "0123456789abcdef"[value % base];
		value /= base;
	} while (value);
	while (n < width)
		digits[n++] = '0';
	while (n)
		put_character(log, digits[--n]);
}

/*
 * %s, %lu, and %p as it was before the hashing of 4.15 (ad67b74d2469): all hexadecimal digits of a word without 0x,
 * and "(null)" flush right in the same width.
 */
static __attribute__((unused, format(printf, 1, 2))) void printk(const char *format, ...)
{
	struct log_writer log = { .position = log_end };
	__builtin_va_list arguments;

	__builtin_va_start(arguments, format);
	for (; *format; format++) {
		if (*format != '%') {
			put_character(&log, *format);
			continue;
		}
		format++;
		if (*format == 's') {
			put_string(&log, __builtin_va_arg(arguments, const char *), 0);
		} else if (*format == 'p') {
			void *pointer = __builtin_va_arg(arguments, void *);

			if (pointer)
				put_number(&log, (unsigned long)pointer, 16, 2 * sizeof(void *));
			else
				put_string(&log, NULL, 2 * sizeof(void *));
		} else if (*format == 'l' && format[1] == 'u') {
			format++;
			put_number(&log, __builtin_va_arg(arguments, unsigned long), 10, 1);
		} else {
			put_character(&log, '%');
			put_character(&log, *format);
		}
	}
	__builtin_va_end(arguments);
	if (log.overflow)
		log_dropped++;
	else
		log_end = log.position;
}
