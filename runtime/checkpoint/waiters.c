/*
 * The problem: many threads may want an epoch at the same time, each one that holds what it has
 * stored. The trick: numbers. Who asks draws the next one; a cut serves all that were drawn before
 * it; and how the attempt ended is published with the newest of them, as one word. The guarantee: a
 * waiter hears of an attempt whose cut came after it asked, and of no earlier one.
 */
#include "waiters.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include "cut.h"
#include "os.h"
#include "ours.h"

#define LOOK_NS UINT64_C(1000000000)

/* Up to which ticket all is settled, and how the last attempt ended. */
struct outcome {
	uint32_t ticket;
	int32_t error;
};

static struct {
	uint32_t life; /* random: no other process has it */
	_Atomic uint32_t tickets;
	_Atomic uint64_t outcome; /* struct outcome */
	_Atomic bool is_shut;
	uint32_t bell; /* a futex: rung when outcome has changed */
} self OURS;

void waiters_open(void)
{
	os_getrandom(&self.life, sizeof(self.life));
}

struct ticket waiters_draw(void)
{
	const uint32_t life = self.life;

	return (struct ticket){atomic_fetch_add(&self.tickets, 1) + 1, life};
}

uint32_t waiters_newest(void)
{
	return atomic_load_explicit(&self.tickets, memory_order_acquire);
}

void waiters_ring(void)
{
	__atomic_fetch_add(&self.bell, 1, __ATOMIC_RELEASE);
	os_futex_wake(&self.bell, INT32_MAX);
}

void waiters_settle(uint32_t ticket, int error)
{
	const struct outcome outcome = {ticket, error};
	uint64_t word;

	memcpy(&word, &outcome, sizeof(word));
	atomic_store_explicit(&self.outcome, word, memory_order_release);
	waiters_ring();
}

/* Who draws later than the newest that is settled looks by itself. */
void waiters_shut(void)
{
	self.is_shut = true;
	waiters_settle(waiters_newest(), -ESHUTDOWN);
}

static struct outcome outcome_now(void)
{
	const uint64_t word = atomic_load_explicit(&self.outcome, memory_order_acquire);
	struct outcome outcome;

	memcpy(&outcome, &word, sizeof(outcome));
	return outcome;
}

bool waiters_are_there(void)
{
	return waiters_newest() != outcome_now().ticket;
}

int waiters_wait(struct ticket ticket, int timeout_ms)
{
	const uint64_t until_ns = os_clock_ns(CLOCK_MONOTONIC) + (uint64_t)timeout_ms * 1000000;

	for (;;) {
		const uint32_t rung = __atomic_load_n(&self.bell, __ATOMIC_ACQUIRE);
		const struct outcome outcome = outcome_now();
		if (ticket.life != self.life)
			return 0;
		if ((int32_t)(outcome.ticket - ticket.number) >= 0)
			return outcome.error;
		if (self.is_shut)
			return -ESHUTDOWN;
		if (cut_is_deadlock())
			return -EDEADLK;
		const uint64_t now_ns = os_clock_ns(CLOCK_MONOTONIC);
		if (timeout_ms >= 0 && now_ns >= until_ns)
			return -ETIMEDOUT;
		const uint64_t left_ns = timeout_ms < 0 ? LOOK_NS : until_ns - now_ns;
		const struct timespec timeout = {.tv_sec = (time_t)(left_ns / 1000000000),
						 .tv_nsec = (long)(left_ns % 1000000000)};
		os_futex_wait(&self.bell, rung, &timeout);
	}
}

