/*
 * `heapsake info`: what a pool is and who uses it, without a lock and without a byte changed.
 *
 * Whether it has an owner is asked of the lock, which cannot lie; who that is, of the control
 * page, which may hold anything and is then left out.
 */
#include "command.h"

#include <fcntl.h>
#include <json-c/json.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control.h"
#include "os.h"
#include "pool.h"

enum info_state { INFO_EMPTY, INFO_OK, INFO_CORRUPT };
static const char *const info_state_names[] = {"EMPTY", "OK", "CORRUPT"};

struct info {
	const struct pool *pool;
	enum info_state state;
	const char *why; /* NULL: nothing to add to the state */
	bool has_owner;
	bool knows_owner; /* `owner` is filled */
	struct control_snapshot owner;
	uint64_t disk_bytes; /* what the file takes */
	char uuid[40];
};

/* Does somebody hold a lock that keeps one of this type out? */
static bool info_is_locked(const struct pool *pool, short type, uint64_t offset, uint64_t len)
{
	struct flock lock = {
		.l_type = type,
		.l_whence = SEEK_SET,
		.l_start = (off_t)offset,
		.l_len = (off_t)len,
	};

	return fcntl(pool->fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

/* A checker's lock is no owner's: ask as if we wanted to read. */
static bool info_has_owner(const struct pool *pool)
{
	return info_is_locked(pool, F_RDLCK, LAYOUT_LOCK_OWNER_OFFSET, LAYOUT_LOCK_OWNER_LEN);
}

static bool info_has_views(const struct pool *pool)
{
	return info_is_locked(pool, F_WRLCK, LAYOUT_LOCK_VIEW_OFFSET, LAYOUT_LOCK_VIEW_LEN);
}

static void info_format_uuid(const uint8_t uuid[16], char ret_text[40])
{
	char *end = ret_text;

	for (int i = 0; i < 16; i++)
		end += sprintf(end, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "",
			       uuid[i]);
}

static void info_gather(struct info *info, const struct pool *pool)
{
	struct stat st;

	info->pool = pool;
	info->has_owner = info_has_owner(pool);
	info->knows_owner = info->has_owner && control_read(pool->control, &info->owner) == 0 &&
			    (info->owner.flags & CONTROL_RUNNING);
	info->disk_bytes = fstat(pool->fd, &st) == 0 ? (uint64_t)st.st_blocks * 512 : 0;
	info_format_uuid(pool->sb.uuid, info->uuid);
	info->state = info->has_owner ? INFO_OK : INFO_EMPTY;
	if (info->knows_owner && (info->owner.flags & CONTROL_PRIVATE))
		info->why = "its owner has forked: from then on its memory is private to it";
	else if (!info->has_owner && info_has_views(pool))
		info->why = "forked children of its last owner still use its memory";
	else if (!info->has_owner && pool->sb.keep == KEEP_NONE)
		info->why = "keep none: what its last program stored does not come back";
}

/* Bytes of the heap in use: a heap of keep none is gone with its owner. */
static uint64_t info_used_bytes(const struct info *info)
{
	return info->knows_owner ? info->owner.open_bytes : 0;
}

static void info_print_text(const struct info *info)
{
	const struct layout_superblock *sb = &info->pool->sb;
	char size[TEXT_SIZE_BYTES];
	uint64_t used_bytes = info_used_bytes(info);

	text_print_field("pool", "%s", info->pool->path);
	text_print_field("uuid", "%s", info->uuid);
	text_print_field("state", "%s%s%s", info_state_names[info->state],
			 info->why ? ", " : "", info->why ? info->why : "");
	text_print_field("keep", "%s", config_keep_name((enum keep)sb->keep));
	if (info->knows_owner)
		text_print_field("used by", "%s, pid %d", info->owner.owner.program,
				 info->owner.owner.pid);
	else
		text_print_field("used by", "%s",
				 info->has_owner ? "an unknown process" : "nobody");
	text_print_field("size", "%s (%llu bytes)", text_size(sb->size_bytes, size),
			 (unsigned long long)sb->size_bytes);
	text_print_field("used", "%s (%llu bytes)", text_size(used_bytes, size),
			 (unsigned long long)used_bytes);
	text_print_field("on disk", "%s (%llu bytes)", text_size(info->disk_bytes, size),
			 (unsigned long long)info->disk_bytes);
	text_print_field("heap", "0x%llx-0x%llx", (unsigned long long)sb->base,
			 (unsigned long long)(sb->base + sb->size_bytes));
}

static void add_number(struct json_object *object, const char *key, uint64_t value)
{
	json_object_object_add(object, key, json_object_new_uint64(value));
}

static struct json_object *info_new_json(const char *path, enum info_state state,
					 const char *why)
{
	struct json_object *object = json_object_new_object();

	add_number(object, "schema", 1);
	text_add_json(object, "pool", path);
	text_add_json(object, "state", info_state_names[state]);
	if (why)
		text_add_json(object, "why", why);
	return object;
}

static void info_print_json(const struct info *info)
{
	const struct layout_superblock *sb = &info->pool->sb;
	struct json_object *object = info_new_json(info->pool->path, info->state, info->why);
	struct json_object *regions = json_object_new_array(), *heap = json_object_new_object();

	text_add_json(object, "uuid", info->uuid);
	text_add_json(object, "keep", config_keep_name((enum keep)sb->keep));
	if (info->knows_owner) {
		add_number(object, "pid", (uint64_t)info->owner.owner.pid);
		text_add_json(object, "program", info->owner.owner.program);
	}
	add_number(object, "size_bytes", sb->size_bytes);
	add_number(object, "used_bytes", info_used_bytes(info));
	add_number(object, "disk_bytes", info->disk_bytes);
	text_add_json(heap, "name", "heap");
	add_number(heap, "start", sb->base);
	add_number(heap, "bytes", sb->size_bytes);
	json_object_array_add(regions, heap);
	json_object_object_add(object, "regions", regions);
	text_print_json(object);
}

/* A damaged pool is an answer, not only an error. */
static int info_print_corrupt(const char *path, const struct refusal *why, bool is_json)
{
	if (is_json) {
		text_print_json(info_new_json(path, INFO_CORRUPT, why->line));
	} else {
		text_print_field("pool", "%s", path);
		text_print_field("state", "CORRUPT");
	}
	return text_say_refusal(why);
}

int info_main(int argc, char **argv)
{
	static struct pool pool;
	struct info info = {0};
	struct refusal why;
	bool is_json;
	int status;

	if (!usage_read_json_option(argc, argv, &is_json, &status))
		return status;
	const char *path = usage_one_operand(argc, argv, "POOL");
	if (!path)
		return STATUS_USAGE;
	status = pool_open(&pool, path, POOL_READ, &why);
	if (status == STATUS_CORRUPT)
		return info_print_corrupt(pool.path, &why, is_json);
	if (status)
		return text_say_refusal(&why);
	info_gather(&info, &pool);
	if (is_json)
		info_print_json(&info);
	else
		info_print_text(&info);
	pool_close(&pool);
	return STATUS_OK;
}
