/*
 * `heapsake checkpoint`: ask a running program for an epoch.
 *
 * The asking is one added number in the control page and a bell (layout.h, 2); who is asked, the
 * lock says. A process is known by the control page it has mapped, so that its pool is found
 * wherever it was started and whatever became of the file's name in its environment.
 */
#include "command.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "control.h"
#include "life.h"
#include "owner.h"
#include "pool.h"

#define OPTION_WAIT 256
#define OPTION_JSON 257
#define ASK_NONE -1 /* no error, but no pool either */
#define PATIENCE_NS (UINT64_C(60) * 1000000000)
#define LOOK_NS UINT64_C(100000000) /* between two looks whether the owner lives */

static bool ask_is_pid(const char *operand)
{
	return *operand && strspn(operand, "0123456789") == strlen(operand);
}

/* "START-END rw-s OFFSET DEV INODE   PATH": is it a control page? Then its path. */
static const char *ask_control_path(char *line)
{
	char *at = line;
	const uint64_t start = strtoull(at, &at, 16);
	const uint64_t end = strtoull(at + (*at == '-'), &at, 16);
	const char *flags = at + (*at == ' ');

	line[strcspn(line, "\n")] = 0;
	if (strncmp(flags, "rw-s ", 5) != 0 || end - start != LAYOUT_BLOCK_BYTES ||
	    strtoull(flags + 5, NULL, 16) != LAYOUT_CONTROL_OFFSET)
		return NULL;
	return strchr(flags, '/');
}

static int ask_refuse_process(const char *pid, int error, struct refusal *ret_why)
{
	if (error == ENOENT)
		return refuse(ret_why, STATUS_USAGE, pid,
			      "no such process; for a pool of that name give ./%s", pid);
	return refuse(ret_why, STATUS_USAGE, pid, "its memory map cannot be read: %s; give its pool",
		      strerror(error));
}

/* 0; an errno; ASK_NONE. Other shared pages at the same offset are no pools, and pool_open() says
 * so. */
static int ask_open_mapped(struct pool *pool, int pid)
{
	struct refusal ignored;
	char name[64], *line = NULL;
	size_t size = 0;
	int result = ASK_NONE;

	snprintf(name, sizeof(name), "/proc/%d/maps", pid);
	FILE *maps = fopen(name, "re");
	if (!maps)
		return errno;
	while (result == ASK_NONE && getline(&line, &size, maps) > 0) {
		const char *path = ask_control_path(line);
		if (path && pool_open(pool, path, POOL_ASK, &ignored) == 0)
			result = 0;
	}
	free(line);
	fclose(maps);
	return result;
}

/* The pool that a process owns, or the program it keeps: the keeper's child is init, and init's
 * first child is the program. */
static int ask_open_process(struct pool *pool, const char *operand, struct refusal *ret_why)
{
	const long number = strtol(operand, NULL, 10);
	int pid = number <= INT_MAX ? (int)number : 0; /* which no process has */
	int error = ask_open_mapped(pool, pid);

	if (error && error != ASK_NONE)
		return ask_refuse_process(operand, error, ret_why);
	for (int depth = 0; error && depth < 2 && pid; depth++) {
		pid = process_first_child(pid);
		error = pid ? ask_open_mapped(pool, pid) : ASK_NONE;
	}
	if (!error)
		return 0;
	return refuse(ret_why, STATUS_USAGE, operand,
		      "has no pool that can be found by its name; give the pool");
}

/* Is there somebody who can take an epoch? */
static int ask_check_owner(const struct pool *pool, struct refusal *ret_why)
{
	if (!pool_has_owner(pool))
		return refuse(ret_why, STATUS_FAILED, pool->path,
			      "nobody uses it; an epoch is of a running program");
	if (pool->sb.keep == KEEP_NONE)
		return refuse(ret_why, STATUS_FAILED, pool->path,
			      "keep none has no epochs; use another pool with -k heap");
	return 0;
}

static int ask_refuse(const struct pool *pool, int error, struct refusal *ret_why)
{
	struct owner owner;

	if (error == -ESHUTDOWN)
		return refuse(ret_why, STATUS_FAILED, pool->path,
			      "its program has ended; look with 'heapsake info'");
	if (error == -ENOSPC || error == -EDQUOT)
		return refuse(ret_why, STATUS_NO_SPACE, pool->path,
			      "no space for an epoch; the last one stands, make room");
	if (error == -EDEADLK)
		return refuse(ret_why, STATUS_FAILED, pool->path,
			      "no epoch: a thread waits for one while it holds a lock another waits for; "
			      "try again");
	if (error != -ETIMEDOUT)
		return refuse(ret_why, STATUS_FAILED, pool->path,
			      "no epoch: %s; the last one stands, look at the disk",
			      strerror(-error));
	owner_look(&owner, pool);
	return refuse(ret_why, STATUS_FAILED, pool->path,
		      "no epoch yet, it will come on its own%s%s; look with 'heapsake info'",
		      owner.is_known && owner.page.status.why[0] ? ": " : "",
		      owner.is_known ? owner.page.status.why : "");
}

static int ask_wait(const struct pool *pool, uint32_t request, struct refusal *ret_why)
{
	int error = -ETIMEDOUT;

	for (uint64_t waited_ns = 0; error == -ETIMEDOUT && waited_ns < PATIENCE_NS;
	     waited_ns += LOOK_NS) {
		error = control_wait(pool->control, request, LOOK_NS);
		/* Once more: the answer may have been its last act. */
		if (error == -ETIMEDOUT && !pool_has_owner(pool))
			error = control_wait(pool->control, request, 0) ? -ESHUTDOWN : 0;
	}
	return error ? ask_refuse(pool, error, ret_why) : 0;
}

/* The newest durable epoch; of who has waited, one that holds all that was stored when it asked. */
static void ask_print_json(const struct pool *pool)
{
	struct json_object *object = text_new_json(pool->path);
	struct owner owner;

	owner_look(&owner, pool);
	if (owner.was_known) /* it may have ended since */
		text_add_number(object, "epoch", owner.page.status.epoch);
	text_print_json(object);
}

static bool ask_read_options(int argc, char **argv, bool *ret_waits, bool *ret_is_json,
			     int *ret_status)
{
	static const struct option longs[] = {{"wait", no_argument, NULL, OPTION_WAIT},
					      {"json", no_argument, NULL, OPTION_JSON},
					      {0}};
	int option;

	*ret_waits = *ret_is_json = false;
	while ((option = usage_next_option(argc, argv, "", longs, ret_status)) != -1) {
		if (option == USAGE_ANSWERED)
			return false;
		*ret_waits |= option == OPTION_WAIT;
		*ret_is_json |= option == OPTION_JSON;
	}
	return true;
}

int ask_main(int argc, char **argv)
{
	static struct pool pool;
	struct refusal why;
	bool waits, is_json;
	int status;

	if (!ask_read_options(argc, argv, &waits, &is_json, &status))
		return status;
	const char *operand = usage_one_operand(argc, argv, "PID or POOL");
	if (!operand)
		return STATUS_USAGE;
	status = ask_is_pid(operand) ? ask_open_process(&pool, operand, &why)
				     : pool_open(&pool, operand, POOL_ASK, &why);
	if (status)
		return text_say_refusal(&why);
	status = ask_check_owner(&pool, &why);
	if (!status) {
		uint32_t request = control_request(pool.control);
		status = waits ? ask_wait(&pool, request, &why) : 0;
	}
	if (!status && is_json)
		ask_print_json(&pool);
	pool_close(&pool);
	return status ? text_say_refusal(&why) : STATUS_OK;
}
