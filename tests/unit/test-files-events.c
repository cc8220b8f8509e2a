/* Counters, timers, signals, and entries of an epoll, in two lives. */
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>

#include "process/files-kind.h"
#include "two-lives.h"

TestSuite(events, .init = scratch_open, .fini = scratch_close);

static void has_events(void)
{
	const struct itimerspec in_50_ms = {{0, 50000000}, {0, 50000000}}, in_an_hour = {{0, 0}, {3600, 0}};
	sigset_t mask;
	struct epoll_event event = {.events = EPOLLIN, .data = {.u64 = 0xabcdef0123}};

	both->fd[0] = eventfd(7, EFD_SEMAPHORE | EFD_NONBLOCK);
	both->fd[1] = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
	EXPECT(timerfd_settime(both->fd[1], 0, &in_50_ms, NULL) == 0);
	both->fd[2] = timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK);
	EXPECT(timerfd_settime(both->fd[2], 0, &in_an_hour, NULL) == 0);
	sigemptyset(&mask);
	sigaddset(&mask, SIGUSR2);
	sigprocmask(SIG_BLOCK, &mask, NULL);
	both->fd[3] = signalfd(-1, &mask, SFD_NONBLOCK);
	both->fd[4] = epoll_create1(EPOLL_CLOEXEC);
	EXPECT(epoll_ctl(both->fd[4], EPOLL_CTL_ADD, both->fd[0], &event) == 0);
	/* entered by a number that is closed since, of an open pipe whose other end has a lower one */
	int ends[2];
	EXPECT(pipe(ends) == 0 && write(ends[1], "x", 1) == 1);
	const int by = ends[0];
	ends[0] = dup(by);
	event.data.u64 = 99;
	EXPECT(epoll_ctl(both->fd[4], EPOLL_CTL_ADD, by, &event) == 0);
	close(by);
	both->fd[6] = ends[0];
	both->fd[5] = dup(both->fd[0]);
	save();
}

static void events_come(void)
{
	struct epoll_event events[4];
	struct pollfd poll_timer = {.fd = both->fd[1], .events = POLLIN};
	struct itimerspec left;
	uint64_t value;
	sigset_t mask;

	EXPECT(epoll_wait(both->fd[4], events, 4, 0) == 2);
	const uint64_t sum = events[0].data.u64 + events[1].data.u64;
	EXPECT(sum == 0xabcdef0123 + 99);
	EXPECT(fcntl(both->fd[4], F_GETFD) == FD_CLOEXEC);
	EXPECT(epoll_ctl(both->fd[4], EPOLL_CTL_ADD, both->fd[6], &events[0]) == 0); /* another entry */
	for (int i = 0; i < 7; i++)
		EXPECT(read(both->fd[i % 2 ? 0 : 5], &value, 8) == 8 && value == 1);
	EXPECT(read(both->fd[0], &value, 8) == -1 && errno == EAGAIN);
	EXPECT(poll(&poll_timer, 1, 10000) == 1 && read(both->fd[1], &value, 8) == 8);
	EXPECT(timerfd_gettime(both->fd[1], &left) == 0 && left.it_interval.tv_nsec == 50000000);
	EXPECT(timerfd_gettime(both->fd[2], &left) == 0 && left.it_value.tv_sec > 3000 &&
	       left.it_value.tv_sec <= 3600);
	sigemptyset(&mask);
	sigaddset(&mask, SIGUSR2);
	sigprocmask(SIG_BLOCK, &mask, NULL);
	struct signalfd_siginfo info;
	kill(getpid(), SIGUSR2);
	EXPECT(read(both->fd[3], &info, sizeof(info)) == sizeof(info) && info.ssi_signo == SIGUSR2);
}

Test(events, counters_timers_and_entries_of_an_epoll_come_back)
{
	two_lives(has_events, events_come);
}

/* All counters are one file to who asks for its inode. */
static void has_entries_of_a_number_that_is_another_counter(void)
{
	struct epoll_event event = {.events = EPOLLIN, .data = {.u64 = 11}};

	both->fd[0] = epoll_create1(0);
	both->fd[1] = eventfd(1, 0);
	EXPECT(epoll_ctl(both->fd[0], EPOLL_CTL_ADD, both->fd[1], &event) == 0);
	both->fd[2] = dup(both->fd[1]);
	const int other = eventfd(0, 0);
	EXPECT(dup2(other, both->fd[1]) == both->fd[1] && close(other) == 0);
	event.data.u64 = 22;
	EXPECT(epoll_ctl(both->fd[0], EPOLL_CTL_ADD, both->fd[1], &event) == 0);
	const int gone = eventfd(1, 0), child_has = dup(gone);
	event.data.u64 = 33;
	EXPECT(epoll_ctl(both->fd[0], EPOLL_CTL_ADD, gone, &event) == 0);
	const pid_t child = fork(); /* who has it still */
	if (child == 0) {
		alarm(60);
		pause();
	}
	close(gone);
	close(child_has);
	save();
	kill(child, SIGKILL);
}

static void each_entry_is_of_its_own(void)
{
	struct epoll_event events[4];
	uint64_t value = 1;

	EXPECT(epoll_wait(both->fd[0], events, 4, 0) == 1 && events[0].data.u64 == 11);
	EXPECT(read(both->fd[2], &value, 8) == 8 && epoll_wait(both->fd[0], events, 4, 0) == 0);
	EXPECT(write(both->fd[1], &value, 8) == 8);
	EXPECT(epoll_wait(both->fd[0], events, 4, 0) == 1 && events[0].data.u64 == 22);
}

Test(events, entry_of_a_number_that_is_another_counter_now_is_of_the_one_it_was)
{
	two_lives(has_entries_of_a_number_that_is_another_counter, each_entry_is_of_its_own);
}

static const uint64_t a_year_ns = 365 * 24 * UINT64_C(3600) * 1000000000;

static void has_timers_by_the_time_of_day(void)
{
	struct itimerspec in_a_second = {{0, 0}, {1, 0}};

	both->fd[0] = timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK);
	EXPECT(timerfd_settime(both->fd[0], 0, &in_a_second, NULL) == 0);
	clock_gettime(CLOCK_REALTIME, &in_a_second.it_value);
	in_a_second.it_value.tv_sec += 100;
	both->fd[1] = timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK);
	EXPECT(timerfd_settime(both->fd[1], TFD_TIMER_ABSTIME, &in_a_second, NULL) == 0);
	save();
}

/* Since then, it seems, the time of day was set back: all that was recorded is a year ahead. */
static void set_back(void)
{
	const uint64_t now_ns = (uint64_t)time(NULL) * 1000000000;
	uint64_t *words = (void *)both->bytes;
	unsigned count = 0;

	for (size_t i = 0; i < both->writer.len / sizeof(*words); i++)
		if (words[i] > now_ns && words[i] < now_ns + 200 * UINT64_C(1000000000)) {
			words[i] += a_year_ns;
			count++;
		}
	cr_assert_geq(count, 2); /* and times of files */
}

static void what_was_set_for_a_while_comes(void)
{
	struct pollfd timer = {.fd = both->fd[0], .events = POLLIN};
	struct itimerspec left;
	uint64_t ticks;

	EXPECT(poll(&timer, 1, 60000) == 1 && read(both->fd[0], &ticks, 8) == 8 && ticks == 1);
	EXPECT(timerfd_gettime(both->fd[1], &left) == 0);
	EXPECT((uint64_t)left.it_value.tv_sec * 1000000000 > a_year_ns / 2);
}

Test(events, a_timer_for_a_while_does_not_heed_that_the_time_of_day_was_set)
{
	first_lives(has_timers_by_the_time_of_day);
	set_back();
	second_lives(what_was_set_for_a_while_comes);
}

static void has_one_that_was_stopped(void)
{
	const struct itimerspec stopped = {.it_interval = {3600, 0}};

	both->fd[0] = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
	EXPECT(timerfd_settime(both->fd[0], 0, &stopped, NULL) == 0);
	save();
}

static void it_does_not_run(void)
{
	struct itimerspec left;

	EXPECT(timerfd_gettime(both->fd[0], &left) == 0 && left.it_interval.tv_sec == 3600);
	EXPECT(left.it_value.tv_sec == 0 && left.it_value.tv_nsec == 0);
}

Test(events, a_timer_that_was_stopped_is_not_started_by_its_interval)
{
	two_lives(has_one_that_was_stopped, it_does_not_run);
}

/* The interrupt that makes a tick is another processor's, if there is one. */
static volatile int is_wanted;

static void *start_when_wanted(void *timer)
{
	const struct itimerspec soon = {.it_value = {0, 200000}};
	cpu_set_t other;

	CPU_ZERO(&other);
	CPU_SET(1, &other);
	sched_setaffinity(0, sizeof(other), &other);
	for (;;) {
		while (!is_wanted)
			sched_yield();
		timerfd_settime((int)(intptr_t)timer, 0, &soon, NULL);
		is_wanted = 0;
	}
	return NULL;
}

#define EXPIRIES 300

static void looks_while_timers_expire(void)
{
	static char room[sizeof(struct file_record) + FILE_PART_MAX] __attribute__((aligned(8)));
	struct file_record *const record = (struct file_record *)room;
	const uint64_t *const part = (const uint64_t *)(const void *)record->part; /* files-anon.c */
	const uint64_t *const ticks = &part[1], *const expires_ns = &part[2];
	static struct file_look look;
	unsigned missed = 0;
	pthread_t thread;

	record->fd = (uint32_t)timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
	EXPECT(file_look_at((int)record->fd, &look));
	file_timerfd.describe(&look, record);
	pthread_create(&thread, NULL, start_when_wanted, (void *)(intptr_t)record->fd);
	for (unsigned i = 0; i < EXPIRIES; i++) {
		is_wanted = 1;
		while (is_wanted)
			sched_yield();
		bool is_missed = false;
		do {
			EXPECT(file_timerfd.refresh(record, &look.st));
			is_missed |= !*ticks && !*expires_ns;
		} while (!*ticks);
		missed += is_missed;
	}
	EXPECT(missed < EXPIRIES / 10);
}

/* It was taken for one that does not run, and who waited for it would have waited for ever. */
Test(events, a_timer_that_is_just_expiring_is_not_lost)
{
	first_lives(looks_while_timers_expire);
}

static void saves_twice(void)
{
	static char before[1 << 16];

	has_events();
	const size_t len = both->writer.len;
	EXPECT(len < sizeof(before));
	memcpy(before, both->bytes, len);
	save();
	EXPECT(both->writer.len == len && memcmp(before, both->bytes, len) == 0);
}

Test(events, what_has_not_changed_gives_the_same_bytes)
{
	first_lives(saves_twice);
}
