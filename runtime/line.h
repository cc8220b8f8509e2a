/*
 * A line of text put together without libc: vsnprintf looks at the locale, which is thread-local,
 * so a thread libc does not know cannot use it. What does not fit is left out; the text is always
 * zero-terminated.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct line {
	char *text;
	size_t size; /* of text, the final zero included; not 0 */
	size_t len;
};

static inline struct line line_in(char *text, size_t size)
{
	text[0] = 0;
	return (struct line){text, size, 0};
}

static inline void line_add(struct line *line, const char *text)
{
	while (*text && line->len + 1 < line->size)
		line->text[line->len++] = *text++;
	line->text[line->len] = 0;
}

static inline void line_add_number(struct line *line, uint64_t number, unsigned base)
{
	char digits[65];
	char *at = digits + sizeof(digits) - 1;

	*at = 0;
	do
		*--at = "0123456789abcdef"[number % base];
	while ((number /= base) != 0);
	line_add(line, at);
}

/* line_add_error() - -errno, by number and in the words of libc, which has them in a table */
static inline void line_add_error(struct line *line, int error)
{
	const char *words = strerrordesc_np(-error);

	line_add(line, "error ");
	line_add_number(line, (uint64_t)-error, 10);
	line_add(line, " (");
	line_add(line, words ? words : "unknown");
	line_add(line, ")");
}
