/* What the verbs print: aligned fields for people, JSON for programs. */
#include "command.h"

#include <ctype.h>
#include <json-c/json.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* Bytes of the UTF-8 sequence at text; 0: not one. */
static size_t utf8_sequence_len(const unsigned char *text)
{
	static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
	size_t len = text[0] < 0x80   ? 1
		     : text[0] < 0xc2 ? 0
		     : text[0] < 0xe0 ? 2
		     : text[0] < 0xf0 ? 3
		     : text[0] < 0xf5 ? 4
				      : 0;
	uint32_t code = len > 1 ? text[0] & (0x7fu >> len) : text[0];

	for (size_t i = 1; i < len; i++) {
		if ((text[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (text[i] & 0x3f);
	}
	bool is_surrogate = code >= 0xd800 && code < 0xe000;
	return len > 1 && (code < smallest[len] || is_surrogate || code > 0x10ffff) ? 0 : len;
}

void text_add_json(struct json_object *object, const char *key, const char *value)
{
	char *clean = malloc(3 * strlen(value) + 1), *end = clean;

	if (!clean)
		abort();
	while (*value) {
		size_t len = utf8_sequence_len((const unsigned char *)value);
		memcpy(end, len ? value : "\xef\xbf\xbd", len ? len : 3);
		end += len ? len : 3;
		value += len ? len : 1;
	}
	*end = 0;
	json_object_object_add(object, key, json_object_new_string(clean));
	free(clean);
}

void text_add_number(struct json_object *object, const char *key, uint64_t value)
{
	json_object_object_add(object, key, json_object_new_uint64(value));
}

struct json_object *text_new_json(const char *pool)
{
	struct json_object *object = json_object_new_object();

	text_add_number(object, "schema", 1);
	if (pool)
		text_add_json(object, "pool", pool);
	return object;
}

void text_print_json(struct json_object *object)
{
	puts(json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN |
							    JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(object);
}

void text_print_field(const char *name, const char *format, ...)
{
	char *value = NULL;
	va_list args;

	va_start(args, format);
	int len = vasprintf(&value, format, args);
	va_end(args);
	if (len < 0)
		abort();
	printf("%-15s", name);
	for (const char *c = value; *c; c++)
		printf(iscntrl((unsigned char)*c) ? "\\x%02x" : "%c", (unsigned char)*c);
	putchar('\n');
	free(value);
}

const char *text_size(uint64_t bytes, char buffer[TEXT_SIZE_BYTES])
{
	static const char units[] = "KMGT";
	int unit = -1;
	uint64_t divisor = 1;

	while (unit < 3 && bytes / divisor >= 1024) {
		divisor <<= 10;
		unit++;
	}
	if (unit < 0)
		snprintf(buffer, TEXT_SIZE_BYTES, "%llu", (unsigned long long)bytes);
	else if (bytes % divisor == 0)
		snprintf(buffer, TEXT_SIZE_BYTES, "%llu%c",
			 (unsigned long long)(bytes / divisor), units[unit]);
	else
		snprintf(buffer, TEXT_SIZE_BYTES, "%.1f%c", (double)bytes / (double)divisor,
			 units[unit]);
	return buffer;
}

int text_say_refusal(const struct refusal *why)
{
	say_line("heapsake: %s", why->line);
	return (int)why->status;
}
