/*
 * A program that is linked with the library runs without a pool too, and may look for the root it
 * has just set. Where there is no heap of ours, roots are kept here, in a table that is never
 * touched otherwise.
 */
#include "names.h"

#include <errno.h>
#include <string.h>

#include "lock.h"

#define NAME_COUNT 1024
#define NAME_MAX_BYTES 63

static struct {
	struct lock lock;
	struct {
		char name[NAME_MAX_BYTES + 1];
		void *p;
	} names[NAME_COUNT];
} table;

static int find(const char *name)
{
	for (int i = 0; i < NAME_COUNT; i++)
		if (strcmp(table.names[i].name, name) == 0)
			return i;
	return -1;
}

static int set(const char *name, void *p)
{
	int index = find(name);

	if (!p && index < 0)
		return -ENOENT;
	if (p && index < 0)
		index = find("");
	if (index < 0)
		return -ENOSPC;
	table.names[index].p = p;
	strcpy(table.names[index].name, p ? name : "");
	return 0;
}

static int is_name(const char *name)
{
	return name[0] && strlen(name) <= NAME_MAX_BYTES;
}

int names_set(const char *name, void *p)
{
	if (!is_name(name))
		return -EINVAL;
	lock_acquire(&table.lock);
	const int error = set(name, p);
	lock_release(&table.lock);
	return error;
}

void *names_get(const char *name)
{
	if (!is_name(name))
		return NULL;
	lock_acquire(&table.lock);
	const int index = find(name);
	void *p = index < 0 ? NULL : table.names[index].p;
	lock_release(&table.lock);
	return p;
}
