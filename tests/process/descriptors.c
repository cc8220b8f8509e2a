/* Descriptors and signals of many kinds, all used again and again: a pipe and a socket pair with
 * bytes in them, a counting eventfd, timers as descriptors and as signals on an alternate stack, an
 * epoll set over all of them, offsets shared by two numbers, a file that is appended to. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define STEPS 200
#define CHECK(is_right) ((is_right) ? (void)0 : fail(#is_right, __LINE__))

static volatile sig_atomic_t alarms, is_off_stack;
static char alternate[64 << 10];

static void fail(const char *what, int line)
{
	printf("line %d: not %s: %s\n", line, what, strerror(errno));
	fflush(stdout);
	abort();
}

static void on_alarm(int signal)
{
	const char here = 0;

	(void)signal;
	alarms++;
	if ((uintptr_t)&here - (uintptr_t)alternate >= sizeof(alternate))
		is_off_stack = 1;
}

static void start_alarms(void)
{
	const stack_t stack = {.ss_sp = alternate, .ss_size = sizeof(alternate)};
	const struct sigaction action = {.sa_handler = on_alarm, .sa_flags = SA_ONSTACK | SA_RESTART};
	const struct itimerval often = {{0, 7000}, {0, 7000}};

	CHECK(sigaltstack(&stack, NULL) == 0);
	CHECK(sigaction(SIGALRM, &action, NULL) == 0);
	CHECK(setitimer(ITIMER_REAL, &often, NULL) == 0);
}

static int start_timer(void)
{
	const int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
	const struct itimerspec often = {{0, 10000000}, {0, 10000000}};

	CHECK(fd >= 0 && timerfd_settime(fd, 0, &often, NULL) == 0);
	return fd;
}

static void watch(int epoll, int fd, uint32_t tag)
{
	struct epoll_event event = {.events = EPOLLIN, .data.u32 = tag};

	CHECK(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0);
}

/* Wait until the timer, tag 1, has fired; the others must be ready with it. */
static void wait_timer(int epoll, int timer)
{
	for (;;) {
		struct epoll_event events[8];
		const int count = epoll_wait(epoll, events, 8, 5000);
		unsigned seen = 0;
		uint64_t ticks;

		if (count < 0 && errno == EINTR)
			continue;
		CHECK(count > 0);
		for (int i = 0; i < count; i++)
			seen |= 1u << events[i].data.u32;
		CHECK((seen & ~2u) == 0x1c);
		if (seen & 2 && read(timer, &ticks, 8) == 8)
			return;
	}
}

int main(void)
{
	int pipes[2], pair[2];
	char text[64], back[64];

	CHECK(pipe(pipes) == 0 && socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) == 0);
	const int event = eventfd(5, EFD_SEMAPHORE), epoll = epoll_create1(0), timer = start_timer();
	const int append = open("appended", O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0600);
	const int file = open("shared", O_RDWR | O_CREAT | O_TRUNC, 0600), twin = dup(file);
	CHECK(event >= 0 && epoll >= 0 && append >= 0 && file >= 0 && twin >= 0);
	CHECK(dup2(timer, 700) == 700);
	watch(epoll, timer, 1);
	watch(epoll, event, 2);
	watch(epoll, pipes[0], 3);
	watch(epoll, pair[0], 4);
	CHECK(write(pipes[1], "0: the first one", 16) == 16 && write(pair[1], "0", 2) == 2);
	start_alarms();
	for (int step = 1; step <= STEPS; step++) {
		uint64_t one;

		memset(text, 0, sizeof(text));
		sprintf(text, "%d: %d\n", step, step * step);
		CHECK(write(pipes[1], text, 16) == 16 && write(pair[1], text, strlen(text)) > 0);
		CHECK(write(step % 2 ? file : twin, text, 16) == 16);
		CHECK(lseek(file, 0, SEEK_CUR) == step * 16);
		wait_timer(epoll, timer);
		CHECK(read(pipes[0], back, 16) == 16 && atoi(back) == step - 1);
		CHECK(read(pair[0], back, sizeof(back)) > 0 && atoi(back) == step - 1);
		CHECK(read(event, &one, 8) == 8 && one == 1);
		one = 1;
		CHECK(write(event, &one, 8) == 8);
		CHECK(fcntl(append, F_GETFL) & O_APPEND && fcntl(timer, F_GETFL) & O_NONBLOCK);
		CHECK(write(append, text, strlen(text)) > 0);
		const int before = alarms;
		if (step % 20 == 0)
			while (alarms == before)
				usleep(1000);
		CHECK(!is_off_stack);
	}
	printf("%d steps, alarms came\n", STEPS);
	return fclose(stdout);
}
