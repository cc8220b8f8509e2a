/*
 * A process that dies and goes on in another, with all its threads, several times in a row.
 *
 * No memory is kept here: the new life is a copy made by fork, in a pid namespace of its own, of
 * which all threads but one are gone. That one makes them again, and they find everything as they
 * left it: numbers, names, masks, pending signals, locks held, alternate stacks, registers.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <xmmintrin.h>

#include "process/threads-parts.h"
#include "os-x86_64.h"
#include "os.h"
#include "ours.h"

#define LIVES 4
#define CROWD 100
#define SKIPPED 77
#define PATIENCE_NS UINT64_C(20000000000)
#define STATE_BYTES (1 << 20)

static uint32_t life;
static _Atomic int ready_count;

static void must_at(bool is_so, const char *what, int line)
{
	if (is_so)
		return;
	fprintf(stderr, "threads-again: life %u, line %d: %s\n", life, line, what);
	_exit(1);
}
#define MUST(so) must_at(so, #so, __LINE__)

/* ---- Another life ---- */

static struct {
	char *state;
	size_t len;
	int pid;
} kept OURS;

static void give_up(const char *what, const char *why, long error)
{
	char text[256];
	struct line line = line_in(text, sizeof(text));

	line_add(&line, "threads-again: ");
	line_add(&line, what);
	line_add(&line, why);
	line_add(&line, ": ");
	line_add_number(&line, (uint64_t)-error, 10);
	line_add(&line, "\n");
	os_write(2, text, line.len);
	os_exit_group(1);
}

static void live_again(void *unused)
{
	const struct ledger_reader state = {kept.state, kept.len, 0};
	char why[192];
	struct line line = line_in(why, sizeof(why));

	threads_strip();
	int error = threads_check(&state, true, why);
	if (!error)
		error = threads_make(&state, &line);
	if (error)
		give_up("not made again: ", why, error);
	life++;
	os_futex_wake(&life, INT32_MAX);
	threads_go();
}

static int wait_for(long pid)
{
	int status = 0;

	while (os_syscall4(SYS_wait4, pid, (long)&status, 0, 0) == -EINTR)
		;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* The first process of its namespace, with a /proc that shows that. */
static void be_init(void *unused)
{
	const uint32_t pid = (uint32_t)kept.pid;
	const struct frame_clone clone = {.exit_signal = SIGCHLD, .set_tid = (uintptr_t)&pid,
					  .set_tid_count = 1};

	os_syscall6(SYS_mount, (long)"none", (long)"/", 0, MS_REC | MS_PRIVATE, 0, 0);
	const long error = os_syscall6(SYS_mount, (long)"proc", (long)"/proc", (long)"proc", 0, 0, 0);
	if (error < 0)
		give_up("no /proc", "", error);
	const long child = frame_clone(&clone, live_again, NULL);
	if (child < 0)
		give_up("no second life", "", child);
	os_exit_group(wait_for(child));
}

/* On the stopper: a thread libc does not know. The old life ends as the new one does. */
static void end_and_begin(void *unused)
{
	const struct frame_clone clone = {.flags = CLONE_NEWPID | CLONE_NEWNS,
					  .exit_signal = SIGCHLD};
	struct ledger_writer writer = {.bytes = kept.state, .capacity = STATE_BYTES};
	char why[192] = "";

	const int error = threads_stop(PATIENCE_NS, why);
	if (error)
		give_up("not stopped: ", why, error);
	threads_save(&writer);
	if (writer.veto[0])
		give_up("vetoed: ", writer.veto, 0);
	kept.len = writer.len;
	const long init = frame_clone(&clone, be_init, NULL);
	if (init == -EPERM)
		os_exit_group(SKIPPED);
	if (init < 0)
		give_up("no namespace", "", init);
	os_exit_group(wait_for(init));
}

static void die_and_live(void)
{
	uint32_t is_alive;
	const uint32_t before = life;

	MUST(os_thread_start(end_and_begin, NULL, 1 << 20, &is_alive) == 0);
	while (__atomic_load_n(&life, __ATOMIC_ACQUIRE) == before)
		os_futex_wait(&life, before, NULL);
}

/* ---- What is in a thread ---- */

static void wait_for_last_life(void)
{
	uint32_t now;

	while ((now = __atomic_load_n(&life, __ATOMIC_ACQUIRE)) < LIVES)
		os_futex_wait(&life, now, NULL);
}

static bool is_registered(void)
{
	uint64_t fs, gs;

	return os_get_fs(&fs, &gs) == 0 && (!threads_shared.rseq_bytes ||
		os_rseq_register(fs + (uint64_t)threads_shared.rseq_offset,
				 threads_shared.rseq_bytes) == -EBUSY);
}

static void wait_known(const char *name)
{
	const int tid = os_gettid();
	char now[16];

	pthread_setname_np(pthread_self(), name);
	ready_count++;
	wait_for_last_life();
	MUST(os_gettid() == tid);
	MUST(pthread_getname_np(pthread_self(), now, sizeof(now)) == 0 && strcmp(now, name) == 0);
	MUST(is_registered());
}

static pthread_mutex_t mutexes[4], for_the_dead;
static const int types[4] = {PTHREAD_MUTEX_NORMAL, PTHREAD_MUTEX_RECURSIVE,
			     PTHREAD_MUTEX_ERRORCHECK, PTHREAD_MUTEX_RECURSIVE};

static void make_mutexes(void)
{
	pthread_mutexattr_t attr;

	for (int i = 0; i < 4; i++) {
		pthread_mutexattr_init(&attr);
		pthread_mutexattr_settype(&attr, types[i]);
		if (i == 2)
			pthread_mutexattr_setprotocol(&attr, PTHREAD_PRIO_INHERIT);
		if (i == 3)
			pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
		MUST(pthread_mutex_init(&mutexes[i], &attr) == 0);
	}
	MUST(pthread_mutex_init(&for_the_dead, &attr) == 0);
}

static void *hold_locks(void *unused)
{
	for (int i = 0; i < 4; i++)
		MUST(pthread_mutex_lock(&mutexes[i]) == 0);
	wait_known("holder");
	MUST(pthread_mutex_lock(&mutexes[2]) == EDEADLK);
	for (int i = 1; i < 4; i += 2) {
		MUST(pthread_mutex_lock(&mutexes[i]) == 0);
		MUST(pthread_mutex_unlock(&mutexes[i]) == 0);
	}
	for (int i = 0; i < 4; i++)
		MUST(pthread_mutex_unlock(&mutexes[i]) == 0);
	return NULL;
}

/* Each waits for a lock another holds over all lives. */
static void *want_lock(void *which)
{
	ready_count++;
	MUST(pthread_mutex_lock(which) == 0);
	MUST(life == LIVES);
	MUST(pthread_mutex_unlock(which) == 0);
	return NULL;
}

static void *die_with_lock(void *unused)
{
	MUST(pthread_mutex_lock(&for_the_dead) == 0);
	wait_known("dying");
	return NULL;
}

static void *block_signals(void *unused)
{
	sigset_t set, now;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGRTMIN + 3);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	pthread_kill(pthread_self(), SIGUSR1);
	wait_known("blocks");
	pthread_sigmask(SIG_BLOCK, NULL, &now);
	MUST(sigismember(&now, SIGUSR1) && sigismember(&now, SIGRTMIN + 3));
	MUST(!sigismember(&now, SIGUSR2) && !sigismember(&now, SIGRTMIN + 4));
	MUST(sigpending(&now) == 0 && sigismember(&now, SIGUSR1));
	return NULL;
}

static void on_usr2(int number)
{
	stack_t now;

	wait_known("on altstack");
	MUST(sigaltstack(NULL, &now) == 0 && now.ss_flags == SS_ONSTACK);
}

static void *stand_on_altstack(void *unused)
{
	stack_t other = {.ss_sp = malloc(65536), .ss_size = 65536}, now;
	struct sigaction action = {.sa_handler = on_usr2, .sa_flags = SA_ONSTACK};

	MUST(sigaltstack(&other, NULL) == 0);
	MUST(sigaction(SIGUSR2, &action, NULL) == 0);
	pthread_kill(pthread_self(), SIGUSR2);
	MUST(life == LIVES);
	MUST(sigaltstack(NULL, &now) == 0);
	MUST(now.ss_sp == other.ss_sp && now.ss_size == 65536 && now.ss_flags == 0);
	return NULL;
}

static void *run_elsewhere(void *unused)
{
	cpu_set_t first, now;

	CPU_ZERO(&first);
	CPU_SET(0, &first);
	MUST(sched_setaffinity(0, sizeof(first), &first) == 0);
	MUST(setpriority(PRIO_PROCESS, (id_t)os_gettid(), 7) == 0);
	MUST(prctl(PR_SET_TIMERSLACK, 77777) == 0);
	wait_known("elsewhere");
	MUST(sched_getaffinity(0, sizeof(now), &now) == 0 && CPU_EQUAL(&first, &now));
	MUST(getpriority(PRIO_PROCESS, (id_t)os_gettid()) == 7);
	MUST(prctl(PR_GET_TIMERSLACK) == 77777);
	return NULL;
}

static uint64_t step(uint64_t x)
{
	return x * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
}

/* In registers, all the time, whatever happens. */
static void *compute(void *unused)
{
	volatile double third = 3;
	uint64_t a = 1, b = 1;
	double up = 0, again = 0;

	_MM_SET_ROUNDING_MODE(_MM_ROUND_UP);
	ready_count++;
	do {
		for (int i = 0; i < 1000; i++) {
			a = step(a);
			b = step(b);
			up += 1 / third;
			again += 1 / third;
			__asm__ volatile("" : "+r"(b), "+x"(again));
		}
	} while (__atomic_load_n(&life, __ATOMIC_ACQUIRE) < LIVES && a == b && up == again);
	MUST(a == b && up == again);
	MUST(_MM_GET_ROUNDING_MODE() == _MM_ROUND_UP);
	return NULL;
}

static int to_reader[2];

static void *read_pipe(void *unused)
{
	char byte;

	ready_count++;
	MUST(read(to_reader[0], &byte, 1) == 1);
	MUST(life == LIVES && byte == 'r');
	return NULL;
}

static pthread_mutex_t cond_mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static bool is_signalled;
static _Thread_local int own;

static void *wait_for_cond(void *number)
{
	own = (int)(intptr_t)number;
	pthread_mutex_lock(&cond_mutex);
	ready_count++;
	while (!is_signalled)
		pthread_cond_wait(&cond, &cond_mutex);
	pthread_mutex_unlock(&cond_mutex);
	MUST(own == (int)(intptr_t)number);
	return (void *)(intptr_t)os_gettid();
}

static void *begin_late(void *unused)
{
	MUST(is_registered());
	return unused;
}

static void *(*const kinds[])(void *) = {hold_locks, die_with_lock, block_signals,
	stand_on_altstack, run_elsewhere, compute, compute, read_pipe};
#define KINDS (sizeof(kinds) / sizeof(*kinds))
#define DIES_WITH_LOCK 1

static void wait_until_ready(int count)
{
	while (ready_count < count)
		usleep(1000);
}

int main(void)
{
	pthread_t threads[KINDS], waiting[4], crowd[CROWD], late;

	alarm(100); /* it hangs */
	ours_open_zone();
	MUST(threads_open() == 0);
	kept.pid = os_getpid();
	kept.state = os_mmap(NULL, STATE_BYTES, 3 /* read, write */, 0x22 /* private, anonymous */, -1, 0);
	MUST(!os_is_error(kept.state));
	make_mutexes();
	MUST(pipe(to_reader) == 0);
	for (size_t i = 0; i < KINDS; i++)
		MUST(pthread_create(&threads[i], NULL, kinds[i], NULL) == 0);
	wait_until_ready(KINDS);
	for (size_t i = 0; i < 4; i++)
		MUST(pthread_create(&waiting[i], NULL, want_lock, &mutexes[i]) == 0);
	for (intptr_t i = 0; i < CROWD; i++)
		MUST(pthread_create(&crowd[i], NULL, wait_for_cond, (void *)i) == 0);
	wait_until_ready(KINDS + 4 + CROWD);
	usleep(20000); /* they wait by now */

	while (life < LIVES) {
		die_and_live();
		alarm(100);
		MUST(os_getpid() == kept.pid && os_gettid() == kept.pid);
		MUST(is_registered());
		MUST(pthread_create(&late, NULL, begin_late, NULL) == 0);
		MUST(pthread_join(late, NULL) == 0);
	}

	MUST(pthread_join(threads[DIES_WITH_LOCK], NULL) == 0);
	MUST(pthread_mutex_lock(&for_the_dead) == EOWNERDEAD);
	pthread_mutex_lock(&cond_mutex);
	is_signalled = true;
	pthread_cond_broadcast(&cond);
	pthread_mutex_unlock(&cond_mutex);
	MUST(write(to_reader[1], "r", 1) == 1);
	for (size_t i = 0; i < KINDS; i++)
		MUST(i == DIES_WITH_LOCK || pthread_join(threads[i], NULL) == 0);
	for (size_t i = 0; i < 4; i++)
		MUST(pthread_join(waiting[i], NULL) == 0);
	for (size_t i = 0; i < CROWD; i++)
		MUST(pthread_join(crowd[i], NULL) == 0);
	printf("threads-again: %zu threads in %u lives\n", KINDS + 4 + CROWD + 1, life);
	return 0;
}
