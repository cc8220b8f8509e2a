/*
 * `heapsake ls`: what can be found again in a pool: its epochs, and the named roots and the regions
 * of the newest. From media, so it is the same whether a program runs or not; no lock is taken.
 */
#include "command.h"

#include <json-c/json.h>

#include "image.h"
#include "region-list.h"
#include "view.h"

#define LS_ROOT_MAX (HEAP_ROOTS_BYTES / 64) /* more than there is room for */

struct ls_root {
	char name[64];
	uint64_t offset;
	uint64_t bytes; /* of the block it points into, from there on; 0: into none */
};

struct listing {
	uint64_t epoch;
	unsigned epoch_count;
	uint64_t epochs[CHECKPOINT_EPOCHS_MAX]; /* that can be had back, newest first */
	unsigned root_count;
	struct ls_root roots[LS_ROOT_MAX];
	struct region_list regions;
};

static void ls_add_root(struct listing *listing, const char *name, const char *base, const char *p)
{
	struct ls_root *root = &listing->roots[listing->root_count++];
	void *start;
	size_t bytes;

	*root = (struct ls_root){.offset = (uint64_t)(p - base)};
	snprintf(root->name, sizeof(root->name), "%s", name);
	if (heap_find_block(p, &start, &bytes))
		root->bytes = bytes - (size_t)(p - (char *)start);
}

static int ls_read_roots(struct listing *listing, struct image *image, struct refusal *ret_why)
{
	struct view view;
	const char *name;
	void *p;
	int status = view_begin(&view, image, ret_why);

	if (status || !view.has_heap)
		return status;
	for (unsigned i = 0; i < LS_ROOT_MAX && heap_list_root(i, &name, &p); i++)
		ls_add_root(listing, name, view.base, p);
	return view_end(&view, ret_why);
}

static int ls_read(void *context, struct image *image, struct refusal *ret_why)
{
	struct listing *listing = context;

	listing->epoch = image->info.epoch;
	listing->epoch_count = checkpoint_epochs(image->checkpoint, listing->epochs);
	listing->root_count = 0;
	region_list_begin(&listing->regions, image->pool);
	if (!image->info.epoch)
		return 0;
	int status = region_list_read(&listing->regions, image, ret_why);
	/* A process may be in the middle of an allocation: of its heap nothing is said. */
	if (status || image->pool->sb.keep == KEEP_PROCESS)
		return status;
	return ls_read_roots(listing, image, ret_why);
}

static void ls_print_json(const struct pool *pool, const struct listing *listing)
{
	struct json_object *object = text_new_json(pool->path);
	struct json_object *roots = json_object_new_array();
	struct json_object *epochs = json_object_new_array();

	text_add_number(object, "epoch", listing->epoch);
	for (unsigned i = 0; i < listing->epoch_count; i++)
		json_object_array_add(epochs, json_object_new_uint64(listing->epochs[i]));
	json_object_object_add(object, "epochs", epochs);
	for (unsigned i = 0; i < listing->root_count; i++) {
		struct json_object *root = json_object_new_object();
		text_add_json(root, "name", listing->roots[i].name);
		text_add_number(root, "offset", listing->roots[i].offset);
		text_add_number(root, "bytes", listing->roots[i].bytes);
		json_object_array_add(roots, root);
	}
	json_object_object_add(object, "roots", roots);
	json_object_object_add(object, "regions", region_list_new_json(&listing->regions));
	text_print_json(object);
}

static void ls_print_text(const struct listing *listing)
{
	for (unsigned i = 0; i < listing->epoch_count; i++)
		text_print_field("epoch", "%llu", (unsigned long long)listing->epochs[i]);
	for (unsigned i = 0; i < listing->root_count; i++) {
		const struct ls_root *root = &listing->roots[i];
		text_print_field("root", "%s, offset %llu, %llu bytes", root->name,
				 (unsigned long long)root->offset,
				 (unsigned long long)root->bytes);
	}
	region_list_print(&listing->regions);
}

int ls_main(int argc, char **argv)
{
	static struct pool pool;
	static struct listing listing;
	struct refusal why;
	bool is_json;
	int status;

	const char *path = usage_read_pool(argc, argv, &is_json, &status);
	if (!path)
		return status;
	if (pool_open(&pool, path, POOL_READ, &why) != 0)
		return text_say_refusal(&why);
	region_list_begin(&listing.regions, &pool);
	status = keep_has_epochs((enum keep)pool.sb.keep)
			 ? image_read(&pool, ls_read, &listing, &why) : 0;
	if (!status && is_json)
		ls_print_json(&pool, &listing);
	else if (!status)
		ls_print_text(&listing);
	pool_close(&pool);
	return status ? text_say_refusal(&why) : STATUS_OK;
}
