/*
 * DESIGN 5: the signal that stops threads would end epoll_wait and nanosleep early: threads that
 * wait get none.
 * with: HEAPSAKE_KEEP=heap
 * with: HEAPSAKE_INTERVAL=1ms
 * with: HEAPSAKE_LOG=error
 * only: shared inert
 */
#include "must.h"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <time.h>

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

int main(void)
{
	const int epoll = epoll_create1(0);
	struct epoll_event event;
	struct pollfd fd = {.fd = -1};
	double began = now();

	MUST(epoll_wait(epoll, &event, 1, 200) == 0 && now() - began >= 0.2);
	began = now();
	MUST(poll(&fd, 1, 200) == 0 && now() - began >= 0.2);
	began = now();
	MUST(select(0, NULL, NULL, NULL, &(struct timeval){.tv_usec = 200000}) == 0);
	MUST(nanosleep(&(struct timespec){.tv_nsec = 200000000}, NULL) == 0);
	MUST(usleep(200000) == 0 && sleep(1) == 0 && now() - began >= 1.6);
	for (int i = 0; i < 1000; i++)
		MUST(epoll_wait(epoll, &event, 1, 0) == 0 && poll(&fd, 1, 0) == 0);
}
