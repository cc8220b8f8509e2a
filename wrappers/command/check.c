/*
 * `heapsake check`: is every byte that describes the pool what it should be?
 *
 * A pool opens with one good superblock, so that it opens does not say that it is whole: each
 * slot, the reserved bytes of the head and the control page are looked at by themselves. A pool
 * that cannot be opened is corrupt (4); one that can, but has a finding, is inconsistent (1).
 * Nothing is ever repaired here; the next update of the pool writes the older slot anew.
 */
#include "command.h"

#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control.h"
#include "os.h"
#include "pool.h"
#include "superblock.h"

#define FINDING_MAX 8

struct finding {
	char where[32];
	uint64_t offset;
	char found[1024];
	char expected[64];
};

struct check {
	const char *path;
	int fd;
	uint64_t file_bytes;
	unsigned finding_count;
	struct finding findings[FINDING_MAX];
};

/* The new finding, its `expected` filled; the caller says what was found. */
static struct finding *check_add(struct check *check, const char *where, uint64_t offset)
{
	/* Past the end the last one is overwritten: the status is what counts. */
	if (check->finding_count < FINDING_MAX)
		check->finding_count++;
	struct finding *finding = &check->findings[check->finding_count - 1];
	snprintf(finding->where, sizeof(finding->where), "%s", where);
	finding->offset = offset;
	return finding;
}

static void check_add_number(struct check *check, const char *where, uint64_t offset,
			     uint64_t found, uint64_t expected)
{
	struct finding *finding = check_add(check, where, offset);

	snprintf(finding->found, sizeof(finding->found), "0x%016llx",
		 (unsigned long long)found);
	snprintf(finding->expected, sizeof(finding->expected), "0x%016llx",
		 (unsigned long long)expected);
}

static void check_add_text(struct check *check, const char *where, uint64_t offset,
			   const char *found, const char *expected)
{
	struct finding *finding = check_add(check, where, offset);

	snprintf(finding->found, sizeof(finding->found), "%s", found);
	snprintf(finding->expected, sizeof(finding->expected), "%s", expected);
}

static bool check_read(struct check *check, const char *where, uint64_t offset, void *buffer,
		       size_t len)
{
	int error = os_pread_all(check->fd, buffer, len, offset);

	if (error == -EIO && offset + len > check->file_bytes)
		check_add_text(check, where, offset, "end of file", "readable bytes");
	else if (error)
		check_add_text(check, where, offset, strerror(-error), "readable bytes");
	return !error;
}

static void check_superblock(struct check *check, int slot)
{
	struct layout_superblock sb;
	struct refusal why;
	uint64_t offset = (uint64_t)slot * LAYOUT_BLOCK_BYTES;
	char where[32];

	snprintf(where, sizeof(where), "superblock %d", slot);
	if (!check_read(check, where, offset, &sb, sizeof(sb)))
		return;
	if (sb.magic != LAYOUT_MAGIC)
		check_add_number(check, where, offset, sb.magic, LAYOUT_MAGIC);
	else if (sb.checksum != superblock_checksum(&sb))
		check_add_number(check, where,
				 offset + offsetof(struct layout_superblock, checksum),
				 sb.checksum, superblock_checksum(&sb));
	else if (superblock_verify(&sb, slot, check->file_bytes, check->path, &why) != 0)
		check_add_text(check, where, offset, why.line, "fields within their bounds");
}

static void check_control(struct check *check)
{
	struct control control;

	if (!check_read(check, "control page", LAYOUT_CONTROL_OFFSET, &control,
			sizeof(control)))
		return;
	if (control.magic == 0) /* no owner yet */
		return;
	if (control.magic != LAYOUT_CONTROL_MAGIC)
		check_add_number(check, "control page", LAYOUT_CONTROL_OFFSET, control.magic,
				 LAYOUT_CONTROL_MAGIC);
}

static void check_reserved(struct check *check)
{
	for (uint64_t at = LAYOUT_CONTROL_OFFSET + LAYOUT_BLOCK_BYTES;
	     at < LAYOUT_HEAD_WRITTEN_BYTES; at += LAYOUT_BLOCK_BYTES) {
		uint64_t words[LAYOUT_BLOCK_BYTES / sizeof(uint64_t)];
		if (!check_read(check, "reserved head", at, words, sizeof(words)))
			return;
		for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
			if (!words[i])
				continue;
			check_add_number(check, "reserved head", at + i * sizeof(words[0]),
					 words[i], 0);
			return;
		}
	}
}

static void check_head(struct check *check)
{
	check_superblock(check, 0);
	check_superblock(check, 1);
	check_control(check);
	check_reserved(check);
}

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

static void check_print_text(const struct check *check)
{
	for (unsigned i = 0; i < check->finding_count; i++) {
		const struct finding *finding = &check->findings[i];
		printf("%s: offset %llu: found %s, expected %s\n", finding->where,
		       (unsigned long long)finding->offset, finding->found, finding->expected);
	}
	if (!check->finding_count)
		puts("ok");
}

static void check_print_json(const struct check *check)
{
	struct json_object *object = json_object_new_object();
	struct json_object *findings = json_object_new_array();

	json_object_object_add(object, "schema", json_object_new_int(1));
	text_add_json(object, "pool", check->path);
	json_object_object_add(object, "ok", json_object_new_boolean(!check->finding_count));
	for (unsigned i = 0; i < check->finding_count; i++) {
		struct json_object *finding = json_object_new_object();
		text_add_json(finding, "where", check->findings[i].where);
		json_object_object_add(finding, "offset",
				       json_object_new_uint64(check->findings[i].offset));
		text_add_json(finding, "found", check->findings[i].found);
		text_add_json(finding, "expected", check->findings[i].expected);
		json_object_array_add(findings, finding);
	}
	json_object_object_add(object, "findings", findings);
	text_print_json(object);
}

/* Fills *check; the status, with *ret_why if the pool does not open. */
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
	pool_close(&pool);
	return check->finding_count ? STATUS_FAILED : STATUS_OK;
}

int check_main(int argc, char **argv)
{
	static struct check check;
	struct refusal why;
	bool is_json;
	int status;

	if (!usage_read_json_option(argc, argv, &is_json, &status))
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
	if (status == STATUS_CORRUPT && !check.finding_count)
		check_add_text(&check, "pool", 0, why.line, "a pool that opens");
	if (is_json)
		check_print_json(&check);
	else
		check_print_text(&check);
	return status;
}
