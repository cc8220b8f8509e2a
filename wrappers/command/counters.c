/*
 * `heapsake stats`: what keeping has cost the program that runs, read from the control page while
 * it runs. What it cost a program that is gone, that program says itself (HEAPSAKE_STATS).
 */
#include "command.h"

#include <json-c/json.h>

#include "owner.h"
#include "pool.h"

static void counters_add_times(struct json_object *object, const char *key,
			       const struct control_times *times)
{
	struct json_object *part = json_object_new_object();

	text_add_number(part, "p50", times->p50_us);
	text_add_number(part, "p99", times->p99_us);
	text_add_number(part, "max", times->max_us);
	json_object_object_add(object, key, part);
}

/* The counters and their names, once for both forms. */
struct counter {
	const char *name;
	uint64_t value;
};
#define COUNTER_COUNT 8

static void counters_list(const struct control_counters *of, struct counter list[COUNTER_COUNT])
{
	const struct counter all[COUNTER_COUNT] = {
		{"epochs", of->epochs},	      {"forced", of->forced},
		{"given_up", of->given_up},   {"skipped", of->skipped},
		{"pages", of->pages},	      {"log_bytes", of->log_bytes},
		{"user_bytes", of->user_bytes}, {"home_bytes", of->home_bytes},
	};

	for (unsigned i = 0; i < COUNTER_COUNT; i++)
		list[i] = all[i];
}

static void counters_print_json(const struct pool *pool, const struct control_snapshot *page)
{
	struct json_object *object = text_new_json(pool->path);
	struct counter list[COUNTER_COUNT];

	text_add_number(object, "pid", (uint64_t)page->owner.pid);
	text_add_json(object, "program", page->owner.program);
	counters_list(&page->status.counters, list);
	for (unsigned i = 0; i < COUNTER_COUNT; i++)
		text_add_number(object, list[i].name, list[i].value);
	counters_add_times(object, "pause_us", &page->status.pause);
	counters_add_times(object, "commit_us", &page->status.commit);
	text_print_json(object);
}

static void counters_print_times(const char *name, const struct control_times *times)
{
	text_print_field(name, "p50 %u us, p99 %u us, max %u us", times->p50_us, times->p99_us,
			 times->max_us);
}

static void counters_print_text(const struct control_snapshot *page)
{
	struct counter list[COUNTER_COUNT];

	counters_list(&page->status.counters, list);
	for (unsigned i = 0; i < COUNTER_COUNT; i++)
		text_print_field(list[i].name, "%llu", (unsigned long long)list[i].value);
	counters_print_times("pause", &page->status.pause);
	counters_print_times("commit", &page->status.commit);
}

int counters_main(int argc, char **argv)
{
	static struct pool pool;
	struct owner owner;
	struct refusal why;
	bool is_json;
	int status;

	const char *path = usage_read_pool(argc, argv, &is_json, &status);
	if (!path)
		return status;
	if (pool_open(&pool, path, POOL_READ, &why) != 0)
		return text_say_refusal(&why);
	owner_look(&owner, &pool);
	if (!owner.is_known)
		status = refuse(&why, STATUS_FAILED, pool.path,
				owner.is_there ? "its owner cannot be read; try again" :
						 "nobody uses it; a program that runs has stats");
	else
		status = STATUS_OK;
	if (!status && is_json)
		counters_print_json(&pool, &owner.page);
	else if (!status)
		counters_print_text(&owner.page);
	pool_close(&pool);
	return status ? text_say_refusal(&why) : STATUS_OK;
}
