/* What `heapsake check` finds: a list, told in the order of finding. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct json_object;

#define FINDING_MAX 256 /* kept; more are counted */

struct finding {
	char where[96];
	uint64_t offset; /* in the file; in the heap's findings: from its base */
	char found[1024];
	char expected[96];
};

struct findings {
	unsigned count;
	struct finding last;
	struct finding list[FINDING_MAX];
};

void finding_add(struct findings *findings, const char *where, uint64_t offset, const char *found,
		 const char *expected);
void finding_add_number(struct findings *findings, const char *where, uint64_t offset,
			uint64_t found, uint64_t expected);
void finding_print_text(const struct findings *findings);
struct json_object *finding_new_json(const struct findings *findings);
