/*
 * Named roots: how a program finds its data again. A table in the heap's first pages, so that it
 * is part of every image; searched linearly, because a program looks up a few names once.
 */
#include <errno.h>

#include "state.h"

static struct layout_root *root_find(const char *name)
{
	for (unsigned i = 0; i < HEAP_ROOTS; i++)
		if (strcmp(state.roots[i].name, name) == 0)
			return &state.roots[i];
	return NULL;
}

static int root_set_locked(const char *name, void *p)
{
	struct layout_root *root = root_find(name);
	if (!p) {
		if (!root)
			return -ENOENT;
		memset(root, 0, sizeof(*root));
		return 0;
	}
	if (!root)
		root = root_find("");
	if (!root)
		return -ENOSPC;
	root->offset = heap_offset(p);
	strcpy(root->name, name);
	return 0;
}

static bool name_is_valid(const char *name)
{
	return name[0] != '\0' && strlen(name) <= HEAP_ROOT_NAME_MAX;
}

/* The tables are the heap's own. The page lock is held. */
static bool lies_in_data(const void *p)
{
	return heap_has(p) && heap_offset(p) >= state.header->data_start &&
	       heap_offset(p) < state.header->data_end;
}

int heap_set_root(const char *name, void *p)
{
	if (!name_is_valid(name))
		return -EINVAL;
	if (!heap_is_there())
		return p ? -EINVAL : -ENOENT;
	inside_enter();
	lock_acquire(&state.page_lock);
	const int error = p && !lies_in_data(p) ? -EINVAL : root_set_locked(name, p);
	lock_release(&state.page_lock);
	inside_leave();
	return error;
}

void *heap_get_root(const char *name)
{
	if (!name_is_valid(name) || !heap_is_there())
		return NULL;
	inside_enter();
	lock_acquire(&state.page_lock);
	const struct layout_root *root = root_find(name);
	void *p = root ? heap_pointer(root->offset) : NULL;
	lock_release(&state.page_lock);
	inside_leave();
	return p;
}

bool heap_list_root(unsigned index, const char **ret_name, void **ret_p)
{
	const unsigned roots = heap_is_there() ? HEAP_ROOTS : 0;
	for (unsigned i = 0; i < roots; i++) {
		if (state.roots[i].name[0] == '\0' || index-- != 0)
			continue;
		*ret_name = state.roots[i].name;
		*ret_p = heap_pointer(state.roots[i].offset);
		return true;
	}
	return false;
}
