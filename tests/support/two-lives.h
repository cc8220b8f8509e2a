/*
 * Descriptors in two lives: a child sets them up and describes them, and is gone; another, with
 * nothing but 0-2, makes them again from the description alone, and looks at them. Numbers are
 * handed over in shared memory, which is all the two have in common.
 *
 * A test calls two_lives(), refused() (no epoch) or second_is_refused() (no resume).
 */
#pragma once

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "process/files.h"
#include "scratch.h"

#define LEDGER_BYTES (4u << 20)

/* What both lives see. */
static struct {
	int fd[8];
	uint64_t word;
	struct ledger_writer writer;
	struct refusal refusal;
	int status; /* of files_check() */
	char bytes[LEDGER_BYTES] __attribute__((aligned(8)));
} *both;

static void (*caller)(void); /* gives 0-2 to the life that begins; NULL: as they are */
static void (*second)(void); /* looks at what was made */

#define EXPECT(condition) \
	do { \
		if (!(condition)) { \
			fprintf(stderr, "%s:%d: %s (errno %d)\n", __FILE__, __LINE__, #condition, errno); \
			_exit(1); \
		} \
	} while (0)

/* hear() - by a caller: what is said goes to a file. is_told() - just once */
static inline void hear(void)
{
	dup2(open(scratch_path("said"), O_WRONLY | O_CREAT | O_APPEND, 0600), 2);
}

static inline bool is_told(const char *what)
{
	char said[1000] = "";
	const int fd = open(scratch_path("said"), O_RDONLY);
	const char *line = read(fd, said, sizeof(said) - 1) > 0 ? strstr(said, what) : NULL;

	close(fd);
	return line && !strstr(line + 1, what);
}

static inline void open_both(void)
{
	both = mmap(NULL, sizeof(*both), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	cr_assert_neq((void *)both, MAP_FAILED);
}

static inline int in_child(void (*life)(void))
{
	int status;

	fflush(NULL);
	const pid_t child = fork();
	if (child == 0) {
		if (caller)
			caller();
		close_range(3, ~0u, 0);
		struct keeper_note note = {0};
		keeper_note_given(&note);
		files_open(scratch_path("pool"), &note);
		life();
		_exit(0);
	}
	cr_assert_eq(waitpid(child, &status, 0), child);
	return status;
}

/* As the committer does: looked at, and then, later, described. */
static inline void save(void)
{
	files_prepare();
	both->writer = (struct ledger_writer){.bytes = both->bytes, .capacity = LEDGER_BYTES};
	files_save(&both->writer);
}

static inline void make_and_go_on(void)
{
	const struct ledger_reader state = {.bytes = both->bytes, .len = both->writer.len};
	char text[256];
	struct line why = line_in(text, sizeof(text));

	both->status = files_check(&state, &both->refusal);
	if (both->status)
		return;
	const int error = files_make(&state, &why);

	files_give_owners(&state);
	if (error)
		fprintf(stderr, "files_make: %d: %s\n", error, text);
	EXPECT(error == 0);
	second();
}

static inline void first_lives(void (*life)(void))
{
	open_both();
	cr_assert_eq(in_child(life), 0, "the first life");
}

static inline void second_lives(void (*life)(void))
{
	second = life;
	cr_assert_eq(in_child(make_and_go_on), 0, "the second life");
	cr_assert_eq(both->status, 0, "%s", both->refusal.line);
}

static inline void two_lives(void (*first_life)(void), void (*second_life)(void))
{
	first_lives(first_life);
	cr_assert_str_empty(both->writer.veto, "%s", both->writer.veto);
	second_lives(second_life);
}

static inline void refused(void (*first_life)(void), const char *why)
{
	first_lives(first_life);
	cr_assert_not_null(strstr(both->writer.veto, why), "%s", both->writer.veto);
}

static inline void second_is_refused(void (*first_life)(void), void (*between)(void),
				     const char *why)
{
	first_lives(first_life);
	cr_assert_str_empty(both->writer.veto, "%s", both->writer.veto);
	between();
	cr_assert_eq(in_child(make_and_go_on), 0, "the second life");
	cr_assert_eq(both->status, STATUS_INCOMPATIBLE);
	cr_assert_not_null(strstr(both->refusal.line, why), "%s", both->refusal.line);
}
