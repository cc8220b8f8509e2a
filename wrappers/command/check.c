/*
 * `heapsake check`: is every byte of a pool that nobody uses what it should be?
 *
 * A pool of which no epoch can be found is corrupt (4); one that gives an epoch back, but has a
 * finding, is inconsistent (1). Nothing is ever repaired here; the next update of the pool writes
 * the older superblock anew.
 */
#include "checking.h"

#include <fcntl.h>
#include <getopt.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "command.h"
#include "os.h"
#include "pool.h"

#define OPTION_DEEP 256
#define OPTION_JSON 257

/* What exactly is wrong with a pool that does not open. */
static void check_damaged(struct check *check)
{
	struct stat st;

	check->fd =
		open(check->path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (check->fd < 0)
		return;
	if (fstat(check->fd, &st) == 0 && S_ISREG(st.st_mode)) {
		check->file_bytes = (uint64_t)st.st_size;
		check_head(check);
	}
	close(check->fd);
}

/* Fills *check; the status, with *ret_why if it is neither 0 nor 1. */
static int check_pool(struct check *check, const char *path, struct refusal *ret_why)
{
	static struct pool pool;
	struct stat st;
	int status = pool_open(&pool, path, POOL_CHECK, ret_why);

	check->path = pool.path;
	if (status == STATUS_CORRUPT)
		check_damaged(check);
	if (status)
		return status;
	check->fd = pool.fd;
	check->file_bytes = os_fstat(pool.fd, &st) == 0 ? (uint64_t)st.st_size : 0;
	check_head(check);
	if (keep_has_epochs((enum keep)pool.sb.keep))
		status = check_image(check, &pool, ret_why);
	pool_close(&pool);
	if (status == STATUS_FAILED)
		finding_add(&check->findings, "pool", 0, ret_why->line, "a pool that can be read");
	return status ? status : check->findings.count ? STATUS_FAILED : STATUS_OK;
}

/* The line of a refusal says where, if it says "at offset"; the head's parts have been told. */
static void check_add_refusal(struct check *check, const struct refusal *why)
{
	const char *place = strstr(why->line, " at offset ");
	const uint64_t offset = place ? strtoull(place + strlen(" at offset "), NULL, 10) : 0;

	finding_add(&check->findings, strstr(why->line, ": log at") ? "log" : "pool", offset, why->line,
		    "an epoch that can be read");
}

static void check_print_text(const struct check *check)
{
	finding_print_text(&check->findings);
	if (!check->findings.count)
		puts("ok");
}

static void check_print_json(const struct check *check)
{
	struct json_object *object = text_new_json(check->path);

	json_object_object_add(object, "ok", json_object_new_boolean(!check->findings.count));
	json_object_object_add(object, "findings", finding_new_json(&check->findings));
	text_add_number(object, "blocks", check->blocks);
	text_add_number(object, "bytes", check->bytes);
	text_print_json(object);
}

static bool check_read_options(int argc, char **argv, struct check *check, bool *ret_is_json,
			       int *ret_status)
{
	static const struct option longs[] = {{"deep", no_argument, NULL, OPTION_DEEP},
					      {"json", no_argument, NULL, OPTION_JSON},
					      {0}};
	int option;

	*ret_is_json = false;
	while ((option = usage_next_option(argc, argv, "", longs, ret_status)) != -1) {
		if (option == USAGE_ANSWERED)
			return false;
		check->is_deep |= option == OPTION_DEEP;
		*ret_is_json |= option == OPTION_JSON;
	}
	return true;
}

int check_main(int argc, char **argv)
{
	static struct check check;
	struct refusal why;
	bool is_json;
	int status;

	if (!check_read_options(argc, argv, &check, &is_json, &status))
		return status;
	const char *path = usage_one_operand(argc, argv, "POOL");
	if (!path)
		return STATUS_USAGE;
	status = check_pool(&check, path, &why);
	if (status > STATUS_FAILED)
		text_say_refusal(&why);
	if (status > STATUS_FAILED && status != STATUS_CORRUPT)
		return status;
	/* Refused, and yet each part by itself looks right: the refusal is the finding. */
	if (status == STATUS_CORRUPT && !check.findings.count)
		check_add_refusal(&check, &why);
	if (is_json)
		check_print_json(&check);
	else
		check_print_text(&check);
	return status;
}
