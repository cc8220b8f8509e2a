/*
 * What the processes of a life have in common: the words between them, and the step from a forked
 * copy of the command to the program, with everything that a program inherits as it was when the
 * command was called.
 */
#include "life.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control.h"
#include "launch.h"
#include "os.h"
#include "pool.h"

#ifndef CAP_CHECKPOINT_RESTORE
#define CAP_CHECKPOINT_RESTORE 40
#endif

bool message_send(int socket, const struct message *message)
{
	return send(socket, message, sizeof(*message), MSG_NOSIGNAL) == sizeof(*message);
}

bool message_receive(int socket, struct message *ret_message)
{
	ssize_t len;

	do
		len = recv(socket, ret_message, sizeof(*ret_message), 0);
	while (len < 0 && errno == EINTR);
	ret_message->detail[sizeof(ret_message->detail) - 1] = 0;
	return len == sizeof(*ret_message);
}

pid_t process_first_child(pid_t pid)
{
	char path[64], text[32];

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", pid, pid);
	const long len = os_read_file(path, text, sizeof(text) - 1);
	text[len > 0 ? len : 0] = 0;
	return (pid_t)strtol(text, NULL, 10);
}

static int compare_numbers(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

void close_all_but(const int *kept, unsigned count)
{
	int sorted[CLOSE_KEPT_MAX];
	unsigned first = 0;

	for (unsigned i = 0; i < count; i++)
		sorted[i] = kept[i];
	qsort(sorted, count, sizeof(*sorted), compare_numbers);
	for (unsigned i = 0; i < count; i++) {
		if (sorted[i] < 0)
			continue;
		if ((unsigned)sorted[i] > first)
			close_range(first, (unsigned)sorted[i] - 1, 0);
		first = (unsigned)sorted[i] + 1;
	}
	close_range(first, ~0u, 0);
}

/* In a user namespace whoever is not root loses every right with exec, but for ambient ones. */
static int lend_right(void)
{
	struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3];
	const uint32_t bit = UINT32_C(1) << (CAP_CHECKPOINT_RESTORE % 32);
	int error = os_capget(sets);

	if (error)
		return error;
	sets[CAP_CHECKPOINT_RESTORE / 32].inheritable |= bit;
	error = os_capset(sets);
	if (error)
		return error;
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_CHECKPOINT_RESTORE, 0, 0) < 0)
		return -errno;
	return 0;
}

static int limit_stack(uint64_t wanted)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_STACK, &limit) < 0)
		return -errno;
	limit.rlim_cur = wanted;
	return setrlimit(RLIMIT_STACK, &limit) < 0 ? -errno : 0;
}

static int hand_over_note(const struct life *life)
{
	int error = os_pwrite_all(life->note_fd, &life->note, sizeof(life->note), 0);

	if (error)
		return error;
	if (life->note_fd == life->note_number)
		return fcntl(life->note_fd, F_SETFD, 0) < 0 ? -errno : 0;
	return dup2(life->note_fd, life->note_number) < 0 ? -errno : 0;
}

int life_become(struct life *life, const char **ret_what)
{
	int error = 0;

	*ret_what = "capability";
	if (life->note.has_lent_right)
		error = lend_right();
	if (!error && life->cwd) {
		*ret_what = life->cwd;
		error = chdir(life->cwd) < 0 ? -errno : 0;
	}
	if (!error && life->stack_limit) {
		*ret_what = "RLIMIT_STACK";
		error = limit_stack(life->stack_limit);
	}
	if (!error) {
		*ret_what = "descriptor of the note";
		error = hand_over_note(life);
	}
	if (error)
		return error;
	if (life->caller_ignores_children)
		signal(SIGCHLD, SIG_IGN);
	sigprocmask(SIG_SETMASK, &life->caller_mask, NULL);
	*ret_what = "";
	return -launch_exec(life->path, life->argv, life->envp);
}

void life_remember_outputs(struct life *life)
{
	for (int fd = 0; fd < 3; fd++) {
		char path[32];
		struct stat st;
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		life->outputs[fd] = fstat(fd, &st) == 0 && S_ISREG(st.st_mode)
					    ? os_fd_move(open(path, O_PATH | O_CLOEXEC)) : -1;
	}
}

/* Nobody has resumed it yet. */
static bool is_last(const struct life *life, const struct pool *pool)
{
	struct control_snapshot snapshot;

	return control_read(pool->control, &snapshot) == 0 &&
	       snapshot.owner.pid == life->note.keeper_pid;
}

static enum life_next next_by(const struct life *life, const struct control_snapshot *page)
{
	if (page->owner.pid != life->note.keeper_pid)
		return LIFE_RESUMES; /* as far as is known: it never got there, or the next has begun */
	if (page->flags & CONTROL_ENDED)
		return LIFE_HAS_ENDED;
	return life->note.mode == KEEPER_FRESH && !page->status.epoch ? LIFE_WAS_NEVER : LIFE_RESUMES;
}

enum life_next life_next(const struct life *life)
{
	static struct pool pool;
	struct control_snapshot page;
	struct refusal why;
	enum life_next next = LIFE_RESUMES;

	if (pool_open(&pool, life->note.pool, POOL_ASK, &why) != 0)
		return next;
	if (control_read(pool.control, &page) == 0)
		next = next_by(life, &page);
	pool_close(&pool);
	return next;
}

/* Its next life may have begun already, and have written: what is told then would mislead the one
 * after that. */
void life_note_end(const struct life *life, uint64_t ended_unix_ns)
{
	static struct pool pool;
	struct refusal why;
	uint64_t bytes[3] = {0};
	uint32_t known = 0;

	for (int fd = 0; fd < 3; fd++) {
		struct stat st;
		if (life->outputs[fd] < 0 || fstat(life->outputs[fd], &st) < 0)
			continue;
		bytes[fd] = (uint64_t)st.st_size;
		known |= UINT32_C(1) << fd;
	}
	if (pool_open(&pool, life->note.pool, POOL_ASK, &why) != 0)
		return;
	if (is_last(life, &pool)) {
		control_note_outputs(pool.control, known, bytes);
		control_note_end(pool.control, ended_unix_ns);
	}
	if (!is_last(life, &pool)) {
		control_take_outputs(pool.control, bytes);
		control_note_end(pool.control, 0);
	}
	pool_close(&pool);
}
