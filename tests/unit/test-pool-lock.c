/* One writer: a living owner is named, a dying one is waited for, a dead one is no hindrance. */
#include "crafted.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "control.h"
#include "os.h"
#include "pool-parts.h"

TestSuite(pool_lock, .init = scratch_open, .fini = scratch_close);

static struct pool pool;

/* A child that owns the pool and then runs body; returns when it does own it. */
static pid_t start_owner(const char *path, void (*body)(struct pool *))
{
	int ends[2];
	char word = 0;

	cr_assert_eq(pipe(ends), 0);
	pid_t child = fork();
	if (child == 0) {
		prctl(PR_SET_NAME, "some-owner");
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (pool_open(&pool, path, POOL_OWN, &why) == 0 && write(ends[1], "y", 1) == 1)
			body(&pool);
		_exit(1);
	}
	close(ends[1]);
	cr_assert_eq(read(ends[0], &word, 1), 1, "the child does not own the pool");
	close(ends[0]);
	return child;
}

static void live(struct pool *unused)
{
	for (;;)
		pause();
}

static void end(pid_t child)
{
	kill(child, SIGKILL);
	cr_assert_eq(waitpid(child, NULL, 0), child);
}

static void is_refused_naming(const char *path, pid_t child, enum pool_access access)
{
	char line[512];
	struct scratch_print before = scratch_print(path);

	cr_assert_eq(pool_open(&pool, path, access, &why), STATUS_BUSY);
	snprintf(line, sizeof(line), "%s: in use by some-owner, pid %d; stop it, or use another pool",
		 path, child);
	cr_assert_str_eq(why.line, line);
	struct scratch_print after = scratch_print(path);
	cr_assert(scratch_is_same(&before, &after));
}

static void can_be_owned(const char *path)
{
	cr_assert_eq(pool_open(&pool, path, POOL_OWN, &why), 0, "%s", why.line);
	pool_close(&pool);
}

Test(pool_lock, a_living_owner_is_named_and_reading_goes_on)
{
	const char *path = crafted_pool("a");
	pid_t child = start_owner(path, live);

	is_refused_naming(path, child, POOL_OWN);
	is_refused_naming(path, child, POOL_CHECK);
	cr_assert_eq(pool_open(&pool, path, POOL_READ, &why), 0, "%s", why.line);
	pool_close(&pool);
	end(child);
	can_be_owned(path);
}

Test(pool_lock, killed_and_run_again_works_at_once)
{
	const char *path = crafted_pool("a");

	for (int round = 0; round < 20; round++) {
		pid_t child = start_owner(path, live);
		kill(child, SIGKILL);
		can_be_owned(path); /* not waited for: it may still be dying, then a zombie */
		cr_assert_eq(waitpid(child, NULL, 0), child);
	}
}

static void *outlive_the_leader(void *unused)
{
	usleep(2500000);
	_exit(0);
	return unused;
}

/* The leader is a zombie that still holds the lock: what a process looks like that needs longer
 * than a second to die. */
static void die_slowly(struct pool *unused)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, outlive_the_leader, NULL) == 0)
		pthread_exit(NULL);
}

Test(pool_lock, a_dying_owner_is_waited_for_longer_than_a_second)
{
	const char *path = crafted_pool("a");
	pid_t child = start_owner(path, die_slowly);

	can_be_owned(path);
	cr_assert_eq(waitpid(child, NULL, 0), child);
}

static void close_everything(struct pool *unused)
{
	for (int fd = 0; fd < 1024; fd++)
		close(fd);
	live(unused);
}

Test(pool_lock, an_owner_that_closed_all_descriptors_still_owns)
{
	const char *path = crafted_pool("a");
	pid_t child = start_owner(path, close_everything);

	usleep(100000);
	is_refused_naming(path, child, POOL_OWN);
	end(child);
	can_be_owned(path);
}

static void leave_children(struct pool *unused)
{
	pid_t child = fork();

	if (child == 0) {
		pool_forget(&pool);
		prctl(PR_SET_PDEATHSIG, 0);
		sleep(5); /* outlives the owner, and ends by itself if the test dies */
		_exit(0);
	}
	live(unused);
}

Test(pool_lock, forked_children_do_not_keep_the_lock)
{
	const char *path = crafted_pool("a");
	pid_t child = start_owner(path, leave_children);

	usleep(100000);
	end(child);
	can_be_owned(path);
}

Test(pool_lock, checkers_share_and_keep_owners_out)
{
	const char *path = crafted_pool("a");
	struct pool first, second;
	char line[512];

	/* Nor are they taken for the last owner, a keeper that was killed and may take long to be gone. */
	struct control_owner last = {.pid = getpid(), .start_ticks = 1, .program = "last"};
	cr_assert_eq(pool_open(&pool, path, POOL_OWN, &why), 0, "%s", why.line);
	control_enter_owner(pool.control, &last, KEEP_PROCESS);
	control_set_flag(pool.control, CONTROL_KEPT);
	os_munmap(pool.lock_page, OS_PAGE_BYTES);
	pool_forget(&pool);

	cr_assert_eq(pool_open(&first, path, POOL_CHECK, &why), 0, "%s", why.line);
	cr_assert_eq(pool_open(&second, path, POOL_CHECK, &why), 0, "%s", why.line);
	cr_assert_eq(pool_open(&pool, path, POOL_OWN, &why), STATUS_BUSY);
	snprintf(line, sizeof(line), "%s: in use by another process; wait until it ends", path);
	cr_assert_str_eq(why.line, line);
	pool_close(&first);
	pool_close(&second);
	can_be_owned(path);
}

Test(pool_lock, a_dead_owners_name_is_not_blamed_on_a_new_process_with_its_pid)
{
	const char *path = crafted_pool("a");
	struct control_owner impostor = {.pid = getpid(), .start_ticks = 1, .program = "impostor"};

	cr_assert_eq(pool_open(&pool, path, POOL_OWN, &why), 0, "%s", why.line);
	control_enter_owner(pool.control, &impostor, KEEP_NONE);
	struct pool second;
	cr_assert_eq(pool_open(&second, path, POOL_OWN, &why), STATUS_BUSY);
	cr_assert_null(strstr(why.line, "impostor"), "%s", why.line);
	pool_close(&pool);
}

/* It may be alive in another pid namespace: that it was dying for 30 s was said of it. */
Test(pool_lock, a_keeper_that_is_not_to_be_seen_is_not_called_dying)
{
	const char *path = crafted_pool("a");
	struct control_owner elsewhere = {.pid = getpid(), .start_ticks = 1, .program = "elsewhere"};
	struct pool second;

	cr_assert_eq(pool_open(&pool, path, POOL_OWN, &why), 0, "%s", why.line);
	control_enter_owner(pool.control, &elsewhere, KEEP_PROCESS);
	control_set_flag(pool.control, CONTROL_KEPT);
	cr_assert_eq(pool_open(&second, path, POOL_OWN, &why), STATUS_BUSY);
	cr_assert(strstr(why.line, "in use by elsewhere") && strstr(why.line, "not to be seen from here"),
		  "%s", why.line);
	cr_assert_null(strstr(why.line, "dying"), "%s", why.line);
	pool_close(&pool);
}

Test(pool_lock, our_descriptor_comes_back_after_the_program_closed_it)
{
	const char *path = crafted_pool("a");
	struct stat st;

	cr_assert_eq(pool_open(&pool, path, POOL_OWN, &why), 0, "%s", why.line);
	int old = pool.fd;
	cr_assert_eq(pool_fd(&pool), old);
	close(old);
	int fd = pool_fd(&pool);
	cr_assert_geq(fd, 0);
	cr_assert_eq(fstat(fd, &st), 0);
	cr_assert_eq(st.st_ino, pool.ino);
	/* The number given to another file: not ours, and not closed by us. */
	int other = open("/dev/null", O_RDONLY);
	cr_assert_eq(dup2(other, fd), fd);
	int again = pool_fd(&pool);
	cr_assert_neq(again, fd);
	cr_assert_neq(fcntl(fd, F_GETFD), -1);
	/* And it is locked again. */
	int probe = open(path, O_RDWR);
	cr_assert(pool_range_is_locked(probe, F_WRLCK, LAYOUT_LOCK_OWNER_OFFSET, LAYOUT_LOCK_OWNER_LEN));
	close(probe);
	pool_close(&pool);
	cr_assert_neq(fcntl(fd, F_GETFD), -1);
}

Test(pool_lock, a_replaced_file_is_not_taken_for_ours)
{
	const char *path = crafted_pool("a");

	cr_assert_eq(pool_open(&pool, path, POOL_OWN, &why), 0, "%s", why.line);
	cr_assert_eq(rename(path, scratch_path("b")), 0);
	cr_assert_geq(pool_fd(&pool), 0, "renamed: our descriptor is still good");
	int fd = pool_reopen(&pool);
	cr_assert_geq(fd, 0, "renamed: found through the descriptor");
	close(fd);
	crafted_pool("a");
	close(pool.fd);
	cr_assert_lt(pool_fd(&pool), 0);
	pool_close(&pool);
}

static void remove_and_live(struct pool *owned)
{
	usleep(300000); /* until the next owner stands in front of the lock */
	unlink(owned->path);
}

Test(pool_lock, a_pool_removed_while_we_waited_is_not_taken)
{
	const char *path = crafted_pool("a");
	char line[512];
	pid_t child = start_owner(path, remove_and_live);

	snprintf(line, sizeof(line), "%s: was removed while we waited for it; run again", path);
	cr_assert_eq(pool_open(&pool, path, POOL_OWN, &why), STATUS_USAGE);
	cr_assert_str_eq(why.line, line);
	cr_assert_eq(waitpid(child, NULL, 0), child);
}

static void stand_in_stop(struct pool *unused)
{
	raise(SIGSTOP);
	live(unused);
}

Test(pool_lock, a_stopped_owner_is_alive)
{
	const char *path = crafted_pool("a");
	pid_t child = start_owner(path, stand_in_stop);

	usleep(50000);
	is_refused_naming(path, child, POOL_OWN);
	end(child);
}
