/*
 * Every call that the kernel does not restart, while threads are stopped all the time: it returns
 * what it would have returned, not before its time; and a handler of the program's ends it as ever.
 * Run under keep=process with an epoch a millisecond.
 */
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <threads.h>
#include <time.h>
#include <unistd.h>

#define WAIT_MS 300
#include "patience.h"

#define MUCH (1 << 20)

static void must_at(bool is_so, const char *what, int line)
{
	if (is_so)
		return;
	fprintf(stderr, "interrupted: line %d: %s (%s)\n", line, what, strerror(errno));
	_exit(1);
}
#define MUST(so) must_at(so, #so, __LINE__)

static _Atomic unsigned handled;

static void handle(int number)
{
	handled++;
}

/* ---- Waits that end by themselves ---- */

/* Not early; and it did end: there is no other limit to being late. */
#define LASTS_UNLESS(early, is_right)                                                              \
	do {                                                                                       \
		const double began = now();                                                        \
		errno = 0;                                                                         \
		MUST(is_right);                                                                    \
		MUST(!early(began));                                                               \
	} while (0)
#define LASTS(is_right) LASTS_UNLESS(is_early, is_right)
#define SOCKET_LASTS(is_right) LASTS_UNLESS(is_early_socket, is_right)

static int pipe_ends[2], epoll_fd, queue, semaphores;
static struct epoll_event event;
static struct pollfd to_poll;
static sem_t semaphore;

static void wait_for_events(void)
{
	struct timeval left = {.tv_usec = WAIT_MS * 1000};
	fd_set reads;

	LASTS(poll(&to_poll, 1, WAIT_MS) == 0);
	LASTS(ppoll(&to_poll, 1, &wait_time, NULL) == 0);
	LASTS(epoll_wait(epoll_fd, &event, 1, WAIT_MS) == 0);
	LASTS(epoll_pwait(epoll_fd, &event, 1, WAIT_MS, NULL) == 0);
	LASTS(epoll_pwait2(epoll_fd, &event, 1, &wait_time, NULL) == 0);
	FD_ZERO(&reads);
	FD_SET(pipe_ends[0], &reads);
	LASTS(select(pipe_ends[0] + 1, &reads, NULL, NULL, &left) == 0);
	MUST(left.tv_sec == 0 && left.tv_usec == 0 && !FD_ISSET(pipe_ends[0], &reads));
	LASTS(pselect(0, NULL, NULL, NULL, &wait_time, NULL) == 0);
}

static void sleep_on_and_on(void)
{
	struct timespec time = wait_time;

	LASTS(nanosleep(&time, &time) == 0);
	/* Unchanged: it was not interrupted. */
	MUST(time.tv_sec == 0 && time.tv_nsec == wait_time.tv_nsec);
	LASTS(clock_nanosleep(CLOCK_MONOTONIC, 0, &time, &time) == 0);
	MUST(time.tv_sec == 0 && time.tv_nsec == wait_time.tv_nsec);
	LASTS(clock_nanosleep(CLOCK_REALTIME, 0, &time, NULL) == 0);
	LASTS((time = after(CLOCK_MONOTONIC),
	       clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, NULL)) == 0);
	LASTS(usleep(WAIT_MS * 1000) == 0);
	LASTS(sleep(1) == 0);
	LASTS(thrd_sleep(&wait_time, NULL) == 0);
}

static void wait_for_signals(void)
{
	sigset_t set;
	siginfo_t info;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	LASTS(sigtimedwait(&set, &info, &wait_time) == -1 && errno == EAGAIN);
}

static void wait_for_semaphores(void)
{
	struct sembuf down = {.sem_op = -1};
	struct timespec end;

	LASTS((end = after(CLOCK_REALTIME), sem_timedwait(&semaphore, &end)) == -1 &&
	      errno == ETIMEDOUT);
	LASTS((end = after(CLOCK_MONOTONIC), sem_clockwait(&semaphore, CLOCK_MONOTONIC, &end)) == -1 &&
	      errno == ETIMEDOUT);
	LASTS(semtimedop(semaphores, &down, 1, &wait_time) == -1 && errno == EAGAIN);
}

static void wait_for_locks(void)
{
	pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
	pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
	struct timespec end;
	int error = 0;

	pthread_mutex_lock(&mutex);
	LASTS((end = after(CLOCK_REALTIME), pthread_mutex_timedlock(&mutex, &end)) == ETIMEDOUT);
	LASTS(({
		end = after(CLOCK_REALTIME);
		while (error == 0)
			error = pthread_cond_timedwait(&cond, &mutex, &end);
		error == ETIMEDOUT;
	}));
}

/* A listener whose queue is full: connect() waits. */
static int listen_full(struct sockaddr_in *ret_address)
{
	const int listener = socket(AF_INET, SOCK_STREAM, 0);
	socklen_t len = sizeof(*ret_address);

	*ret_address = (struct sockaddr_in){.sin_family = AF_INET,
					    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	MUST(bind(listener, (struct sockaddr *)ret_address, len) == 0 && listen(listener, 0) == 0);
	MUST(getsockname(listener, (struct sockaddr *)ret_address, &len) == 0);
	return listener;
}

static void wait_for_sockets(void)
{
	const struct timeval timeout = {.tv_usec = WAIT_MS * 1000};
	static char much[MUCH];
	struct sockaddr_in address;
	int pair[2];
	char byte;
	const int listener = listen_full(&address), waiter = socket(AF_INET, SOCK_STREAM, 0);
	struct iovec vector = {&byte, 1};
	struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1};

	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
	MUST(setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) == 0);
	MUST(setsockopt(pair[0], SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout)) == 0);
	MUST(setsockopt(listener, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) == 0);
	MUST(setsockopt(waiter, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout)) == 0);
	SOCKET_LASTS(read(pair[0], &byte, 1) == -1 && errno == EAGAIN);
	SOCKET_LASTS(recv(pair[0], &byte, 1, 0) == -1 && errno == EAGAIN);
	SOCKET_LASTS(recvmsg(pair[0], &message, 0) == -1 && errno == EAGAIN);
	while (send(pair[0], much, MUCH, MSG_DONTWAIT) > 0)
		;
	SOCKET_LASTS(send(pair[0], much, MUCH, 0) == -1 && errno == EAGAIN);
	SOCKET_LASTS(write(pair[0], much, MUCH) == -1 && errno == EAGAIN);
	SOCKET_LASTS(accept(listener, NULL, NULL) == -1 && errno == EAGAIN);
	const int first = socket(AF_INET, SOCK_STREAM, 0); /* fills the queue */
	MUST(connect(first, (struct sockaddr *)&address, sizeof(address)) == 0);
	MUST(poll(&(struct pollfd){.fd = listener, .events = POLLIN}, 1, -1) == 1);
	SOCKET_LASTS(connect(waiter, (struct sockaddr *)&address, sizeof(address)) == -1 &&
		     errno == EINPROGRESS);
}

/* ---- Waits that something ends ---- */

static int ends[2];

static void *feed_late(void *unused)
{
	const struct { long type; char text[8]; } message = {.type = 1};
	struct sembuf up = {.sem_op = 1};

	usleep(WAIT_MS * 1000);
	MUST(write(pipe_ends[1], "x", 1) == 1);
	MUST(msgsnd(queue, &message, 8, 0) == 0);
	MUST(semop(semaphores, &up, 1) == 0);
	MUST(sem_post(&semaphore) == 0);
	return NULL;
}

static void *take_slowly(void *sum)
{
	static char some[4096];

	for (ssize_t count; (count = read(ends[0], some, sizeof(some))) > 0;) {
		*(size_t *)sum += (size_t)count;
		usleep(300);
	}
	return NULL;
}

static void *give_slowly(void *unused)
{
	static const char some[4096];

	for (size_t sum = 0; sum < MUCH; sum += sizeof(some)) {
		MUST(write(ends[1], some, sizeof(some)) == sizeof(some));
		usleep(300);
	}
	return NULL;
}

static void wait_for_others(void)
{
	struct { long type; char text[8]; } message;
	struct sembuf down = {.sem_op = -1};
	pthread_t feeder;

	to_poll.fd = pipe_ends[0];
	LASTS(pthread_create(&feeder, NULL, feed_late, NULL) == 0 && poll(&to_poll, 1, -1) == 1);
	MUST(epoll_wait(epoll_fd, &event, 1, -1) == 1);
	MUST(msgrcv(queue, &message, 8, 0, 0) == 8);
	MUST(semop(semaphores, &down, 1) == 0 && sem_wait(&semaphore) == 0);
	MUST(pthread_join(feeder, NULL) == 0);
	MUST(read(pipe_ends[0], message.text, 1) == 1);
}

/* All of it, as nobody reads or writes without blocking. */
static void pass_all(bool is_socket)
{
	static char much[MUCH];
	struct iovec vector[3] = {{much, 1}, {much, 10}, {much, MUCH - 11}};
	struct msghdr message = {.msg_iov = vector, .msg_iovlen = 3};
	pthread_t other;
	size_t sum = 0;

	MUST((is_socket ? socketpair(AF_UNIX, SOCK_STREAM, 0, ends) : pipe(ends)) == 0);
	MUST(pthread_create(&other, NULL, take_slowly, &sum) == 0);
	MUST(write(ends[1], much, MUCH) == MUCH);
	MUST(writev(ends[1], vector, 3) == MUCH);
	if (is_socket)
		MUST(send(ends[1], much, MUCH, 0) == MUCH && sendmsg(ends[1], &message, 0) == MUCH);
	close(ends[1]);
	pthread_join(other, NULL);
	MUST(sum == MUCH * (is_socket ? 4u : 2u));
	close(ends[0]);
	if (!is_socket)
		return;
	MUST(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
	MUST(pthread_create(&other, NULL, give_slowly, NULL) == 0);
	MUST(recv(ends[0], much, MUCH, MSG_WAITALL) == MUCH);
	pthread_join(other, NULL);
}

/* ---- Handlers ---- */

/* More than once: on a slow machine the first may come before the call has begun. */
static const struct itimerval soon = {{0, WAIT_MS * 1000}, {0, WAIT_MS * 1000}};
static const struct itimerval never;

/* EINTR, after the handler has run. */
#define ENDED_BY_HANDLER(call)                                                                     \
	do {                                                                                       \
		const unsigned before = handled;                                                   \
		MUST(setitimer(ITIMER_REAL, &soon, NULL) == 0);                                    \
		errno = 0;                                                                         \
		MUST((call) == -1 && errno == EINTR);                                              \
		MUST(setitimer(ITIMER_REAL, &never, NULL) == 0);                                   \
		MUST(handled != before);                                                           \
	} while (0)

/* Of an hour, when it was interrupted soon. */
static bool is_less_than_an_hour(time_t seconds)
{
	return seconds > 3000 && seconds < 3600;
}

static void be_interrupted(void)
{
	struct { long type; char text[8]; } message;
	struct sembuf down = {.sem_op = -1};
	const struct timespec hour = {.tv_sec = 3600};
	struct timespec left = {0}, end;
	struct timeval hours = {.tv_sec = 3600};
	sigset_t none, usr2;

	sigemptyset(&none);
	sigemptyset(&usr2);
	sigaddset(&usr2, SIGUSR2);
	to_poll.fd = -1;
	ENDED_BY_HANDLER(poll(&to_poll, 1, 3600000));
	ENDED_BY_HANDLER(ppoll(&to_poll, 1, NULL, NULL));
	ENDED_BY_HANDLER(epoll_wait(epoll_fd, &event, 1, -1));
	ENDED_BY_HANDLER(select(0, NULL, NULL, NULL, &hours));
	MUST(is_less_than_an_hour(hours.tv_sec));
	ENDED_BY_HANDLER(pselect(0, NULL, NULL, NULL, NULL, &none));
	ENDED_BY_HANDLER(pause());
	ENDED_BY_HANDLER(sigsuspend(&none));
	ENDED_BY_HANDLER(sigwaitinfo(&usr2, NULL));
	ENDED_BY_HANDLER(sigtimedwait(&usr2, NULL, &hour));
	ENDED_BY_HANDLER(nanosleep(&hour, &left));
	MUST(is_less_than_an_hour(left.tv_sec));
	left.tv_sec = 0;
	ENDED_BY_HANDLER((errno = clock_nanosleep(CLOCK_REALTIME, 0, &hour, &left), errno ? -1 : 0));
	MUST(is_less_than_an_hour(left.tv_sec));
	ENDED_BY_HANDLER((errno = EINTR, is_less_than_an_hour(sleep(3600)) ? -1 : 0));
	ENDED_BY_HANDLER(usleep(3000000000u));
	ENDED_BY_HANDLER(msgrcv(queue, &message, 8, 0, 0));
	ENDED_BY_HANDLER(semop(semaphores, &down, 1));
	clock_gettime(CLOCK_REALTIME, &end);
	end.tv_sec += 3600;
	ENDED_BY_HANDLER(sem_timedwait(&semaphore, &end));
	ENDED_BY_HANDLER(sem_wait(&semaphore));
	ENDED_BY_HANDLER(read(pipe_ends[0], &message, 1));
}

int main(void)
{
	struct sigaction action = {.sa_handler = handle};

	alarm(100); /* it hangs */
	MUST(pipe(pipe_ends) == 0 && (epoll_fd = epoll_create1(0)) >= 0);
	event.events = EPOLLIN;
	MUST(epoll_ctl(epoll_fd, EPOLL_CTL_ADD, pipe_ends[0], &event) == 0);
	to_poll = (struct pollfd){.fd = -1, .events = POLLIN};
	MUST((queue = msgget(IPC_PRIVATE, 0600)) >= 0 && (semaphores = semget(IPC_PRIVATE, 1, 0600)) >= 0);
	MUST(sem_init(&semaphore, 0, 0) == 0);
	wait_for_events();
	sleep_on_and_on();
	wait_for_signals();
	wait_for_semaphores();
	wait_for_locks();
	wait_for_sockets();
	wait_for_others();
	pass_all(false);
	pass_all(true);
	alarm(0);
	MUST(sigaction(SIGALRM, &action, NULL) == 0);
	be_interrupted();
	MUST(msgctl(queue, IPC_RMID, NULL) == 0 && semctl(semaphores, 0, IPC_RMID) == 0);
	return 0;
}
