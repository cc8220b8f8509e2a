/*
 * A process that dies and goes on in another, with all its threads, several times in a row.
 *
 * They find everything as they left it: numbers, names, masks, pending signals, locks held,
 * alternate stacks, registers.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>
#include <xmmintrin.h>

#include "next-life.h"
#include "process/process.h"

#define LIVES 20 /* no more than 32 namespaces in each other */
#define CROWD 100

static _Atomic int ready_count;

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

/* One that sends a signal and waits until it has come: if ever one is lost, it hangs. */
static struct { pthread_t other; _Atomic unsigned sent, come; _Atomic bool is_last; } exchanges[4];

static void *receive(void *which)
{
	const intptr_t i = (intptr_t)which;
	sigset_t set;
	int number;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	ready_count++;
	for (bool is_last = false; !is_last; exchanges[i].come++) {
		MUST(sigwait(&set, &number) == 0 && number == SIGCHLD);
		is_last = exchanges[i].is_last;
	}
	return NULL;
}

static void *send(void *which)
{
	const intptr_t i = (intptr_t)which;

	ready_count++;
	while (!exchanges[i].is_last) {
		exchanges[i].is_last = __atomic_load_n(&life, __ATOMIC_ACQUIRE) == LIVES;
		const unsigned sent = ++exchanges[i].sent;
		process_signal_begin();
		MUST(pthread_kill(exchanges[i].other, SIGCHLD) == 0);
		process_signal_end();
		while (exchanges[i].come != sent)
			sched_yield();
	}
	MUST(pthread_join(exchanges[i].other, NULL) == 0);
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

static _Atomic unsigned timer_calls;

static void on_timer(union sigval unused)
{
	timer_calls++;
}

/* Where numbers cannot be chosen: what does not depend on them goes on all the same. */
static int live_with_other_numbers(void)
{
	pthread_t computing, reading, crowd[CROWD];
	const int pid = os_getpid();
	const struct itimerspec often = {{.tv_nsec = 5000000}, {.tv_nsec = 5000000}};
	struct sigevent event = {.sigev_notify = SIGEV_THREAD, .sigev_notify_function = on_timer};
	timer_t timer;
	char warning[192] = "";

	life_is_exact = false;
	MUST(pthread_create(&computing, NULL, compute, NULL) == 0);
	MUST(pthread_create(&reading, NULL, read_pipe, NULL) == 0);
	for (intptr_t i = 0; i < CROWD; i++)
		MUST(pthread_create(&crowd[i], NULL, wait_for_cond, (void *)i) == 0);
	wait_until_ready(2 + CROWD);
	MUST(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0);
	MUST(timer_settime(timer, 0, &often, NULL) == 0);
	while (life < LIVES) {
		life_begin();
		for (const unsigned before = timer_calls; timer_calls == before;)
			usleep(1000); /* its signal is for a thread of libc's */
	}
	MUST(timer_delete(timer) == 0);
	const struct ledger_reader state = {life_kept.state, life_kept.len, 0};
	MUST(threads_check(&state, false, warning) == 0 && strstr(warning, "mutexes"));
	MUST(os_getpid() != pid && os_gettid() == os_getpid());
	pthread_mutex_lock(&cond_mutex);
	is_signalled = true;
	pthread_cond_broadcast(&cond);
	pthread_mutex_unlock(&cond_mutex);
	MUST(write(to_reader[1], "r", 1) == 1);
	MUST(pthread_join(computing, NULL) == 0 && pthread_join(reading, NULL) == 0);
	for (size_t i = 0; i < CROWD; i++)
		MUST(pthread_join(crowd[i], NULL) == 0);
	MUST(pthread_kill(pthread_self(), 0) == 0);
	printf("threads-again: %u threads with other numbers in %u lives\n", CROWD + 3u, life);
	return 0;
}

int main(int argc, char **argv)
{
	pthread_t threads[KINDS], senders[4], waiting[4], crowd[CROWD], late;

	const int pid = os_getpid();
	sigset_t set;

	alarm(100); /* it hangs */
	life_open();
	MUST(pipe(to_reader) == 0);
	if (argc > 1)
		return live_with_other_numbers();
	make_mutexes();
	for (size_t i = 0; i < KINDS; i++)
		MUST(pthread_create(&threads[i], NULL, kinds[i], NULL) == 0);
	wait_until_ready(KINDS);
	for (size_t i = 0; i < 4; i++)
		MUST(pthread_create(&waiting[i], NULL, want_lock, &mutexes[i]) == 0);
	/* Threads are stopped in the order they were made in: the receiver first. */
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	for (intptr_t i = 0; i < 4; i++)
		MUST(pthread_create(&exchanges[i].other, NULL, receive, (void *)i) == 0);
	for (intptr_t i = 0; i < CROWD; i++)
		MUST(pthread_create(&crowd[i], NULL, wait_for_cond, (void *)i) == 0);
	for (intptr_t i = 0; i < 4; i++)
		MUST(pthread_create(&senders[i], NULL, send, (void *)i) == 0);
	wait_until_ready(KINDS + 4 + 8 + CROWD);
	usleep(20000); /* they wait by now */

	while (life < LIVES) {
		life_begin();
		alarm(100);
		MUST(os_getpid() == pid && os_gettid() == pid);
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
		MUST(pthread_join(waiting[i], NULL) == 0 && pthread_join(senders[i], NULL) == 0);
	for (size_t i = 0; i < CROWD; i++)
		MUST(pthread_join(crowd[i], NULL) == 0);
	printf("threads-again: %zu threads in %u lives\n", KINDS + 4 + 8 + CROWD + 1, life);
	return 0;
}
