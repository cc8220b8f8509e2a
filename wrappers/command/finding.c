/*
 * A damaged disk damages thousands of pages; the first few hundred tell as much as all. So the
 * list has an end, and the count does not. One damage is met several times, by who looks at each
 * slot of a slab, say: what is the same as the finding before is not another one.
 */
#include "finding.h"

#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

#include "command.h"

static bool finding_is_same(const struct finding *a, const struct finding *b)
{
	return a->offset == b->offset && !strcmp(a->where, b->where) && !strcmp(a->found, b->found) &&
	       !strcmp(a->expected, b->expected);
}

void finding_add(struct findings *findings, const char *where, uint64_t offset, const char *found,
		 const char *expected)
{
	struct finding finding = {.offset = offset};

	snprintf(finding.where, sizeof(finding.where), "%s", where);
	snprintf(finding.found, sizeof(finding.found), "%s", found);
	snprintf(finding.expected, sizeof(finding.expected), "%s", expected);
	if (findings->count && finding_is_same(&findings->last, &finding))
		return;
	findings->last = finding;
	if (findings->count++ < FINDING_MAX)
		findings->list[findings->count - 1] = finding;
}

void finding_add_number(struct findings *findings, const char *where, uint64_t offset,
			uint64_t found, uint64_t expected)
{
	char found_text[32], expected_text[32];

	snprintf(found_text, sizeof(found_text), "0x%016llx", (unsigned long long)found);
	snprintf(expected_text, sizeof(expected_text), "0x%016llx", (unsigned long long)expected);
	finding_add(findings, where, offset, found_text, expected_text);
}

static unsigned finding_kept(const struct findings *findings)
{
	return findings->count < FINDING_MAX ? findings->count : FINDING_MAX;
}

void finding_print_text(const struct findings *findings)
{
	for (unsigned i = 0; i < finding_kept(findings); i++) {
		const struct finding *finding = &findings->list[i];
		printf("%s: offset %llu: found %s, expected %s\n", finding->where,
		       (unsigned long long)finding->offset, finding->found, finding->expected);
	}
	if (findings->count > FINDING_MAX)
		printf("and %u more\n", findings->count - FINDING_MAX);
}

struct json_object *finding_new_json(const struct findings *findings)
{
	struct json_object *array = json_object_new_array();

	for (unsigned i = 0; i < finding_kept(findings); i++) {
		const struct finding *finding = &findings->list[i];
		struct json_object *item = json_object_new_object();
		text_add_json(item, "where", finding->where);
		text_add_number(item, "offset", finding->offset);
		text_add_json(item, "found", finding->found);
		text_add_json(item, "expected", finding->expected);
		json_object_array_add(array, item);
	}
	return array;
}
