/*
 * `heapsake info`: what a pool is and who uses it, without a lock and without a byte changed.
 *
 * While a program runs, the control page says how keeping goes, and nothing is read that costs the
 * program anything. When none does, or the page is garbage, the newest epoch is asked of media. A
 * dead owner's page still tells when its last epoch was taken, which no record does: that is
 * believed if the epoch is the same.
 */
#include "command.h"

#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "checkpoint/track.h"
#include "control.h"
#include "image.h"
#include "os.h"
#include "owner.h"
#include "past.h"
#include "region-list.h"

enum info_state { INFO_EMPTY, INFO_OK, INFO_DEGRADED, INFO_VETOED, INFO_CORRUPT };
static const char *const info_state_names[] = {"EMPTY", "OK", "DEGRADED", "VETOED", "CORRUPT"};

#define INFO_UNKNOWN UINT64_MAX

struct info {
	const struct pool *pool;
	struct owner owner;
	enum info_state state;
	char why[256]; /* "": nothing to add to the state */
	uint64_t epoch, oldest_epoch;
	uint64_t epoch_age_ms;  /* INFO_UNKNOWN: nobody knows */
	uint64_t loss_ms;
	const char *durability; /* NULL: nobody knows */
	const char *tracker;    /* likewise */
	uint64_t used_bytes, log_bytes;
	uint64_t disk_bytes; /* what the file takes */
	bool is_findable;    /* a root or a global leads to what is kept */
	char command[KEEPER_COMMAND_BYTES]; /* keep=process: what comes back, unless it */
	bool has_ended;
	int end_status;
	struct region_list regions;
	char uuid[40];
};

static void info_format_uuid(const uint8_t uuid[16], char ret_text[40])
{
	char *end = ret_text;

	for (int i = 0; i < 16; i++)
		end += sprintf(end, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "",
			       uuid[i]);
}

/* Clocks may have been set since: nothing is younger than now. */
static uint64_t info_age_ms(uint64_t unix_ns)
{
	uint64_t now_ns = os_clock_ns(CLOCK_REALTIME);

	return now_ns > unix_ns ? (now_ns - unix_ns) / 1000000 : 0;
}

/* ---- A program runs, and says ---- */

static void info_take_page(struct info *info)
{
	static const enum info_state states[] = {
		[CONTROL_OK] = INFO_OK, [CONTROL_DEGRADED] = INFO_DEGRADED, [CONTROL_VETOED] = INFO_VETOED,
		[CONTROL_CORRUPT] = INFO_CORRUPT};
	const struct control_snapshot *page = &info->owner.page;
	const struct control_status *status = &page->status;
	/* Before a run's first epoch all it has stored is at risk. */
	uint64_t since_ns = status->epoch_unix_ns ? status->epoch_unix_ns : page->started_unix_ns;

	info->state = states[status->state];
	snprintf(info->why, sizeof(info->why), "%s", status->why);
	info->epoch = status->epoch;
	info->oldest_epoch = status->oldest_epoch;
	info->epoch_age_ms = status->epoch_unix_ns ? info_age_ms(status->epoch_unix_ns) : INFO_UNKNOWN;
	info->loss_ms = status->dirty_unix_ns ? info_age_ms(since_ns) : 0;
	info->durability = config_durability_name(status->durability);
	info->tracker = track_kind_name((enum track_kind)status->tracker);
	info->log_bytes = status->log_bytes;
}

/* ---- The newest epoch on media ---- */

static int info_read_process(struct info *info, struct image *image, struct refusal *ret_why)
{
	struct past past = {.epoch = info->epoch};
	const int status = past_read_image(&past, image, ret_why);

	if (status)
		return status;
	info->is_findable = past.kind == PAST_RUNNING;
	info->has_ended = past.kind == PAST_ENDED;
	info->end_status = past.end_status;
	snprintf(info->command, sizeof(info->command), "%s", past.launched.command);
	past_forget(&past);
	return 0;
}

static int info_read_image(void *context, struct image *image, struct refusal *ret_why)
{
	struct info *info = context;
	uint64_t pages = HEAP_HEAD_BYTES / LAYOUT_BLOCK_BYTES;
	uint64_t *head = malloc(HEAP_HEAD_BYTES);

	info->epoch = image->info.epoch;
	info->oldest_epoch = image->info.oldest_epoch;
	info->log_bytes = image->info.log_bytes;
	info->used_bytes = 0;
	info->is_findable = false;
	region_list_begin(&info->regions, image->pool);
	if (!head || !info->epoch || info->pool->sb.keep == KEEP_PROCESS) {
		free(head);
		return info->epoch ? info_read_process(info, image, ret_why) : 0;
	}
	int status = image_pages(image, CHECKPOINT_REGION_HEAP, 0, pages, head, ret_why);
	if (!status && *head) /* else nothing but globals has ever been kept */
		status = image_used_bytes(image, head, &info->used_bytes, ret_why);
	if (!status)
		status = region_list_read(&info->regions, image, ret_why);
	info->is_findable = heap_image_has_roots(head) || info->regions.count > 1;
	free(head);
	return status;
}

static void info_take_last_page(struct info *info)
{
	const struct control_status *status = &info->owner.page.status;

	if (!info->owner.was_known || status->epoch != info->epoch || !status->epoch_unix_ns)
		return;
	info->epoch_age_ms = info_age_ms(status->epoch_unix_ns);
	info->durability = config_durability_name(status->durability);
}

static int info_take_media(struct info *info, struct pool *pool, struct refusal *ret_why)
{
	int status = image_read(pool, info_read_image, info, ret_why);

	if (status)
		return status;
	info->state = info->owner.is_there || info->is_findable ? INFO_OK : INFO_EMPTY;
	info_take_last_page(info);
	return 0;
}

/* ---- All of it ---- */

static void info_explain(struct info *info)
{
	const char *why = NULL;

	if (info->owner.is_known && (info->owner.page.flags & CONTROL_PRIVATE))
		why = "its owner has forked: from then on its memory is private to it";
	else if (!info->owner.is_there && pool_has_views(info->pool))
		why = "forked children of its last owner still use its memory";
	else if (!info->why[0] && keep_has_epochs((enum keep)info->pool->sb.keep) &&
		 pool_has_views(info->pool))
		why = "forked children see its home, so epochs stay in the log until they end";
	else if (!info->owner.is_there && info->pool->sb.keep == KEEP_NONE)
		why = "keep none: what its last program stored does not come back";
	else if (info->has_ended)
		why = "its program has ended; the next run starts afresh";
	else if (info->state == INFO_EMPTY && info->epoch)
		why = "no root and no kept global leads to what it holds; the next run starts empty";
	if (why)
		snprintf(info->why, sizeof(info->why), "%s", why);
}

static int info_gather(struct info *info, struct pool *pool, struct refusal *ret_why)
{
	struct stat st;
	int status = 0;

	info->pool = pool;
	info->epoch_age_ms = INFO_UNKNOWN;
	owner_look(&info->owner, pool);
	region_list_begin(&info->regions, pool);
	info->state = info->owner.is_there ? INFO_OK : INFO_EMPTY;
	if (keep_has_epochs((enum keep)pool->sb.keep) && info->owner.is_known)
		info_take_page(info);
	else if (keep_has_epochs((enum keep)pool->sb.keep))
		status = info_take_media(info, pool, ret_why);
	if (info->owner.is_known) /* a heap of keep none is gone with its owner */
		info->used_bytes = info->owner.page.open_bytes;
	info->disk_bytes = fstat(pool->fd, &st) == 0 ? (uint64_t)st.st_blocks * 512 : 0;
	info_format_uuid(pool->sb.uuid, info->uuid);
	info_explain(info);
	return status;
}

static void info_print_size(const char *name, uint64_t bytes)
{
	char size[TEXT_SIZE_BYTES];

	text_print_field(name, "%s (%llu bytes)", text_size(bytes, size), (unsigned long long)bytes);
}

/* What only a program that runs has. */
static void info_print_keeping(const struct info *info)
{
	const struct control_status *status = &info->owner.page.status;

	text_print_field("at risk", "%llu ms", (unsigned long long)info->loss_ms);
	if (status->interval_ns)
		text_print_field("interval", "%g ms", (double)status->interval_ns / 1e6);
	else
		text_print_field("interval", "none: epochs only when asked for");
	if (status->lifelong_locks)
		text_print_field("lifelong locks", "%u%s%s", status->lifelong_locks,
				 status->lifelong[0] ? ": " : "", status->lifelong);
}

static void info_print_epochs(const struct info *info)
{
	if (info->epoch_age_ms == INFO_UNKNOWN)
		text_print_field("epoch", "%llu", (unsigned long long)info->epoch);
	else
		text_print_field("epoch", "%llu, %llu ms old", (unsigned long long)info->epoch,
				 (unsigned long long)info->epoch_age_ms);
	text_print_field("oldest epoch", "%llu", (unsigned long long)info->oldest_epoch);
	if (info->owner.is_known)
		info_print_keeping(info);
	if (info->durability)
		text_print_field("durability", "%s", info->durability);
	if (info->tracker)
		text_print_field("tracker", "%s", info->tracker);
	info_print_size("log", info->log_bytes);
}

static void info_print_text(const struct info *info)
{
	const struct layout_superblock *sb = &info->pool->sb;

	text_print_field("pool", "%s", info->pool->path);
	text_print_field("uuid", "%s", info->uuid);
	text_print_field("state", "%s%s%s", info_state_names[info->state], info->why[0] ? ", " : "",
			 info->why);
	text_print_field("keep", "%s", config_keep_name((enum keep)sb->keep));
	if (info->owner.is_known)
		text_print_field("used by", "%s, pid %d", info->owner.page.owner.program,
				 info->owner.page.owner.pid);
	else
		text_print_field("used by", "%s",
				 info->owner.is_there ? "an unknown process" : "nobody");
	if (info->is_findable && info->command[0])
		text_print_field("goes on", "%s", info->command);
	else if (info->has_ended)
		text_print_field("ended", "%s, with status %d", info->command, info->end_status);
	if (keep_has_epochs((enum keep)sb->keep))
		info_print_epochs(info);
	info_print_size("size", sb->size_bytes);
	info_print_size("used", info->used_bytes);
	info_print_size("on disk", info->disk_bytes);
	region_list_print(&info->regions);
}

static struct json_object *info_new_json(const char *path, enum info_state state, const char *why)
{
	struct json_object *object = text_new_json(path);

	text_add_json(object, "state", info_state_names[state]);
	if (why[0])
		text_add_json(object, "why", why);
	return object;
}

static void info_add_epochs(struct json_object *object, const struct info *info)
{
	text_add_number(object, "epoch", info->epoch);
	if (info->epoch_age_ms != INFO_UNKNOWN)
		text_add_number(object, "epoch_age_ms", info->epoch_age_ms);
	text_add_number(object, "loss_ms", info->loss_ms);
	text_add_number(object, "oldest_epoch", info->oldest_epoch);
	if (info->durability)
		text_add_json(object, "durability", info->durability);
	if (info->tracker)
		text_add_json(object, "tracker", info->tracker);
	if (info->owner.is_known) {
		text_add_number(object, "interval_us", info->owner.page.status.interval_ns / 1000);
		text_add_number(object, "lifelong_locks", info->owner.page.status.lifelong_locks);
		if (info->owner.page.status.lifelong[0])
			text_add_json(object, "lifelong", info->owner.page.status.lifelong);
	}
	text_add_number(object, "log_bytes", info->log_bytes);
}

static void info_print_json(const struct info *info)
{
	const struct layout_superblock *sb = &info->pool->sb;
	struct json_object *object = info_new_json(info->pool->path, info->state, info->why);

	text_add_json(object, "uuid", info->uuid);
	text_add_json(object, "keep", config_keep_name((enum keep)sb->keep));
	if (info->command[0])
		text_add_json(object, "process", info->command);
	if (info->has_ended)
		text_add_number(object, "end_status", (uint64_t)info->end_status);
	if (keep_has_epochs((enum keep)sb->keep))
		info_add_epochs(object, info);
	if (info->owner.is_known) {
		text_add_number(object, "pid", (uint64_t)info->owner.page.owner.pid);
		text_add_json(object, "program", info->owner.page.owner.program);
	}
	text_add_number(object, "size_bytes", sb->size_bytes);
	text_add_number(object, "used_bytes", info->used_bytes);
	text_add_number(object, "disk_bytes", info->disk_bytes);
	json_object_object_add(object, "regions", region_list_new_json(&info->regions));
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
	static struct info info;
	struct refusal why;
	bool is_json;
	int status;

	const char *path = usage_read_pool(argc, argv, &is_json, &status);
	if (!path)
		return status;
	status = pool_open(&pool, path, POOL_READ, &why);
	if (!status) {
		status = info_gather(&info, &pool, &why);
		if (!status && is_json)
			info_print_json(&info);
		else if (!status)
			info_print_text(&info);
		pool_close(&pool);
	}
	if (status == STATUS_CORRUPT)
		return info_print_corrupt(pool.path, &why, is_json);
	return status ? text_say_refusal(&why) : STATUS_OK;
}
