/*
 * Calls that the kernel does not restart, made again if nobody but our stop signal ended them.
 *
 * Under keep=process any thread may be stopped in any call. Most are restarted by the kernel
 * (SA_RESTART); poll, sleeps, waits for signals, sockets with a timeout and some more end with
 * EINTR all the same, or with a part of what they were to write. The trick: the stop signal and the
 * program's handlers (handlers.c) are counted on each thread. If the one has come and the other has
 * not, the call goes on with the time that is left. The guarantee: it returns what it would have
 * returned undisturbed, and a handler of the program's ends it as ever.
 *
 * The end is known from the beginning, so a life that ended meanwhile makes no wait longer, but for
 * where the clock itself went back: then what is left is never more than it was.
 *
 * Without keep=process this is one look at process_is_kept.
 */
#pragma once

#include <errno.h>
#include <time.h>

#include "ours.h"
#include "preload.h"
#include "process/process.h"

/* Who has interrupted this thread, so far. */
struct undisturbed {
	uint32_t stops, handlers;
};
static inline struct undisturbed undisturbed_begin(void)
{
	return (struct undisturbed){ours_self.stops, ours_self.handlers};
}
/* Was it our signal, and nobody else's? */
static inline bool undisturbed_but_for_us(struct undisturbed before)
{
	return process_is_kept && ours_self.stops != before.stops &&
	       ours_self.handlers == before.handlers;
}

#define UNDISTURBED_UNLESS(is_interrupted, result, again, call)                                    \
	({                                                                                         \
		struct undisturbed undisturbed_before;                                             \
		__typeof__(call) result;                                                           \
		do {                                                                               \
			undisturbed_before = undisturbed_begin();                                  \
			result = call;                                                             \
		} while (unlikely((is_interrupted) && undisturbed_but_for_us(undisturbed_before)) && \
			 (again));                                                                 \
		result;                                                                            \
	})
/* UNDISTURBED() - for -1 and EINTR; UNDISTURBED_TIMED() - `call` has what is left of a timeout,
 * by the functions below */
#define UNDISTURBED(call)                                                                          \
	UNDISTURBED_UNLESS(undisturbed_result == -1 && errno == EINTR, undisturbed_result, true,   \
			   call)
#define UNDISTURBED_TIMED(timeout, call)                                                           \
	UNDISTURBED_UNLESS(timed_result == -1 && errno == EINTR, timed_result,                     \
			   ((timeout)->is_again = true), call)

/* ---- What is left of a time ---- */

#define TIMEOUT_NEVER UINT64_MAX

struct timeout {
	clockid_t clock;
	bool is_again;
	uint64_t ns;
	uint64_t end_ns; /* on its clock */
	struct timespec left;
};

struct timeout timeout_begin(clockid_t clock, uint64_t ns);
uint64_t timeout_left_ns(const struct timeout *timeout);
const struct timespec *timeout_left_time(struct timeout *timeout);
int timeout_left_ms(const struct timeout *timeout); /* rounded up */

/* Or the caller's own value holds: it is the first time, or it has no end, or none we know. */
static inline bool timeout_has_run(const struct timeout *timeout)
{
	return unlikely(timeout->is_again) && timeout->end_ns != TIMEOUT_NEVER;
}
#define MS_LEFT(timeout, ms) (timeout_has_run(timeout) ? timeout_left_ms(timeout) : (ms))
#define TIME_LEFT(timeout, time) (timeout_has_run(timeout) ? timeout_left_time(timeout) : (time))

/* From the forms timeouts come in; what is invalid, the call itself will say. */
static inline struct timeout timeout_of_ns(uint64_t ns)
{
	return likely(!process_is_kept) ? (struct timeout){.is_again = false} :
					  timeout_begin(CLOCK_MONOTONIC, ns);
}
static inline struct timeout timeout_of_ms(int ms)
{
	return timeout_of_ns(ms < 0 ? TIMEOUT_NEVER : (uint64_t)ms * 1000000);
}
static inline uint64_t timeout_ns(uint64_t seconds, uint64_t ns)
{
	return seconds < 1000000000 && ns < 1000000000 ? seconds * 1000000000 + ns : TIMEOUT_NEVER;
}
static inline struct timeout timeout_of_time(const struct timespec *time)
{
	return timeout_of_ns(time ? timeout_ns((uint64_t)time->tv_sec, (uint64_t)time->tv_nsec) :
				    TIMEOUT_NEVER);
}

/* ---- Sockets with a timeout of their own (SO_RCVTIMEO, SO_SNDTIMEO) ---- */

/* A time before the call, for undisturbed_socket(). Not the coarse clock's: where its processor is
 * kept from running that is many ticks behind, and the wait would end as much too early. */
static inline uint64_t undisturbed_now(void)
{
	struct timespec now = {0, 0};

	if (unlikely(process_is_kept))
		clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}
/* undisturbed_socket() - wait for what is left of its timeout since then; false: it is over, or a
 * handler ran: errno says. Of anything else than a socket with a timeout: true */
bool undisturbed_socket(int fd, int option, uint64_t began_ns);

#define UNDISTURBED_SOCKET(fd, option, call)                                                       \
	({                                                                                         \
		const uint64_t began_ns = undisturbed_now();                                       \
		UNDISTURBED_UNLESS(socket_result == -1 && errno == EINTR, socket_result,           \
				   undisturbed_socket(fd, option, began_ns), call);                \
	})
