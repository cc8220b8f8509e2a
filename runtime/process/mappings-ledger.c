/*
 * Mappings in the ledger, and what of them no next process could map: memory that others see, too,
 * or that is no file's any more, which is a veto by what people call it.
 */
#include "mappings.h"

#include <string.h>

/* Two views of the same memory, made by mremap() with a length of 0, would come back as two. */
static bool is_seen_twice(const struct mappings *mappings, size_t i)
{
	const struct mapping *one = &mappings->list[i];

	if (!one->is_shared || one->kind != MAPPING_ANONYMOUS)
		return false;
	for (size_t j = 0; j < i; j++) {
		const struct mapping *other = &mappings->list[j];
		if (other->is_shared && other->kind == MAPPING_ANONYMOUS &&
		    other->inode == one->inode && other->device == one->device &&
		    other->offset < one->offset + (one->end - one->start) &&
		    one->offset < other->offset + (other->end - other->start))
			return true;
	}
	return false;
}

/* glibc's semaphores with a name lie there, and so does what Python makes of them. */
static const char *describe_lost(const struct mapping *mapping)
{
	if (mapping->is_shared && strncmp(mapping->path, "/dev/shm/", 9) == 0)
		return "memory shared with other processes (a multiprocessing.Pool, Queue or Lock?), mapped";
	if (strncmp(mapping->path, "/memfd:", 7) == 0)
		return "memory of a memfd, mapped";
	if (strncmp(mapping->path, "/SYSV", 5) == 0)
		return "System V shared memory, mapped";
	if (strncmp(mapping->path, "anon_inode:", 11) == 0 ||
	    strcmp(mapping->path, "/[aio] (deleted)") == 0)
		return "memory shared with the kernel, mapped";
	if (strncmp(mapping->path, "socket:", 7) == 0)
		return "memory of a socket (packets), mapped";
	if (strncmp(mapping->path, "/anon_hugepage", 14) == 0)
		return "huge pages (MAP_HUGETLB), mapped";
	if (mapping->path[0] == '/' && !strstr(mapping->path, " (deleted)"))
		return "memory of a device, mapped";
	return "memory of a file that is not there any more, mapped";
}

void mappings_save(const struct mappings *mappings, struct ledger_writer *writer)
{
	for (size_t i = 0; i < mappings->count; i++) {
		const struct mapping *mapping = &mappings->list[i];
		char *record = ledger_put(writer, LEDGER_MAPPING, sizeof(*mapping) + mapping->path_len);
		struct mapping *copy = (void *)record;
		*copy = *mapping;
		copy->path = NULL;
		memcpy(record + sizeof(*mapping), mapping->path, mapping->path_len);
		if (mapping->kind == MAPPING_LOST)
			ledger_veto(writer, describe_lost(mapping), mapping->path);
		if (is_seen_twice(mappings, i))
			ledger_veto(writer, "shared memory that is mapped twice", NULL);
	}
}

bool mappings_load_next(struct ledger_reader *reader, struct mapping *ret_mapping)
{
	size_t len;
	const char *record = ledger_next(reader, LEDGER_MAPPING, &len);

	if (!record || len < sizeof(*ret_mapping))
		return false;
	memcpy(ret_mapping, record, sizeof(*ret_mapping));
	if (len != sizeof(*ret_mapping) + ret_mapping->path_len || ret_mapping->path_len == 0 ||
	    record[len - 1] != 0)
		return false;
	ret_mapping->path = record + sizeof(*ret_mapping);
	return true;
}
