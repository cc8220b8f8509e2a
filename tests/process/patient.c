/* Waits of every kind that end by themselves, again and again: none ends early, whatever happened
 * to its process meanwhile, and each says that its time was up. */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <threads.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS 3
#define WAIT_MS 60
#include "patience.h"

static const struct timeval wait_timeval = {.tv_usec = WAIT_MS * 1000};
static int pair[2], epoll_fd;
static sem_t semaphore;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;

static void tell(const char *what, int result, bool is_too_early)
{
	printf("%s: %d, %s%s\n", what, result, result == -1 ? strerror(errno) : "",
	       is_too_early ? " early" : "");
	fflush(stdout);
}
#define TELL_IF(early, call)                                                                       \
	do {                                                                                       \
		const double began = now();                                                        \
		const int result = (int)(call);                                                    \
		tell(#call, result, early(began));                                                 \
	} while (0)
#define TELL(call) TELL_IF(is_early, call)
#define TELL_SOCKET(call) TELL_IF(is_early_socket, call)

static int wait_for_condition(void)
{
	const struct timespec until = after(CLOCK_REALTIME);
	int error = 0;

	pthread_mutex_lock(&mutex);
	while (error == 0)
		error = pthread_cond_timedwait(&cond, &mutex, &until);
	pthread_mutex_unlock(&mutex);
	return error == ETIMEDOUT ? 0 : error;
}

static void wait_for_all_kinds(void)
{
	struct pollfd to_poll = {.fd = pair[0], .events = POLLIN};
	struct epoll_event event;
	struct timeval left = wait_timeval;
	struct timespec until;
	sigset_t set;
	char byte;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	TELL(poll(&to_poll, 1, WAIT_MS));
	TELL(ppoll(&to_poll, 1, &wait_time, NULL));
	TELL(epoll_wait(epoll_fd, &event, 1, WAIT_MS));
	TELL(epoll_pwait(epoll_fd, &event, 1, WAIT_MS, &set));
	TELL(select(0, NULL, NULL, NULL, &left));
	TELL(pselect(0, NULL, NULL, NULL, &wait_time, &set));
	TELL_SOCKET(recv(pair[0], &byte, 1, 0));
	TELL_SOCKET(read(pair[0], &byte, 1));
	TELL(nanosleep(&wait_time, NULL));
	TELL(clock_nanosleep(CLOCK_MONOTONIC, 0, &wait_time, NULL));
	TELL(usleep(WAIT_MS * 1000));
	TELL(thrd_sleep(&wait_time, NULL));
	TELL(sigtimedwait(&set, NULL, &wait_time));
	TELL((until = after(CLOCK_MONOTONIC),
	      clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL)));
	TELL((until = after(CLOCK_REALTIME), sem_timedwait(&semaphore, &until)));
	TELL(wait_for_condition());
}

int main(void)
{
	epoll_fd = epoll_create1(0);
	sem_init(&semaphore, 0, 0);
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0 ||
	    setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &wait_timeval, sizeof(wait_timeval)) != 0)
		return 1;
	for (int round = 0; round < ROUNDS; round++)
		wait_for_all_kinds();
	return fclose(stdout);
}
