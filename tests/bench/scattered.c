/*
 * How long does an epoch hold a program up? This one keeps a heap of blocks, of which so many pages,
 * here and there or all together, are active: each is stored to once in an interval, evenly over
 * time; in a thread of its own it asks for an epoch at the end of each interval. It never sleeps: it
 * reads the clock between any two stores, and the longest it did not get to read it is what it saw
 * of the epoch, of page faults and of the machine.
 * Epochs are asked for, and do not come by themselves, so that the first load is one epoch and not
 * in everybody's p99.
 *
 * usage: scattered MIB ACTIVE_PERCENT INTERVAL_MS EPOCHS [together]
 *
 * Says "loaded BYTES" when the heap is durable, then, after EPOCHS intervals, "done PAGES P50 P99 MAX":
 * pages stored to in an interval, and the longest gaps of the intervals in us. Goes on storing until
 * its input ends: it can be looked at meanwhile. Without a pool it is what the machine does without us.
 */
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <time.h>

#include "heapsake.h"
#include "micro/bench.h"
#include "timing.h"

#define PAGE 4096u
#define BLOCK_BYTES ((size_t)64 << 10)
#define INTERVALS_MAX 4096

struct gaps {
	double longest_us[INTERVALS_MAX];
	unsigned count;
};

HSK_KEEP static char **blocks;
static size_t block_count;
static char **active; /* pages, in random order */
static size_t active_count;
static struct bench_random dice;
static struct gaps gaps;
static uint64_t stores;
static double interval_us;
static _Atomic bool is_over;

/* Bytes that are all different: what is compared, packed or shared by the kernel gains nothing. */
static void load(size_t bytes)
{
	block_count = bytes / BLOCK_BYTES;
	blocks = malloc(block_count * sizeof(*blocks));
	bench_check(blocks != NULL, "no memory");
	for (size_t i = 0; i < block_count; i++) {
		uint64_t *words = malloc(BLOCK_BYTES);
		bench_check(words != NULL, "no memory");
		for (size_t j = 0; j < BLOCK_BYTES / sizeof(*words); j++)
			words[j] = bench_random(&dice);
		blocks[i] = (char *)words;
	}
}

/* So many of all pages, each as likely as the other; or, together, the first ones. In random order. */
static void choose_active(double percent, bool is_together)
{
	const size_t all = block_count * (BLOCK_BYTES / PAGE);

	active_count = (size_t)((double)all * percent / 100);
	bench_check(active_count > 0, "no page would be active");
	const size_t pages = is_together ? active_count : all;
	active = malloc(pages * sizeof(*active));
	bench_check(active != NULL, "no memory");
	for (size_t i = 0; i < pages; i++) {
		const size_t at = bench_below(&dice, (uint32_t)i + 1);
		active[i] = active[at];
		active[at] = blocks[i / (BLOCK_BYTES / PAGE)] + i % (BLOCK_BYTES / PAGE) * PAGE;
	}
}

static void store_somewhere(void)
{
	char *page = active[stores++ % active_count];
	const size_t at = bench_below(&dice, PAGE / 8) * 8;
	const uint64_t value = bench_random(&dice);

	HSK_TX { memcpy(page + at, &value, sizeof(value)); }
}

/* Stores at an even pace until the time has come; the longest time between two looks at the clock. */
static double store_until(double until_us, double stores_per_us)
{
	double began_us = now_us(), last_us = began_us, longest_us = 0;
	uint64_t done = 0;

	while (last_us < until_us) {
		if ((double)done < (last_us - began_us) * stores_per_us) {
			store_somewhere();
			done++;
		}
		const double at_us = now_us();
		if (at_us - last_us > longest_us)
			longest_us = at_us - last_us;
		last_us = at_us;
	}
	return longest_us;
}

static void *take_epochs(void *unused)
{
	double due_us = now_us();

	while (!is_over) {
		due_us += interval_us;
		const double left_us = due_us - now_us();
		if (left_us > 0)
			nanosleep(&(struct timespec){(time_t)(left_us / 1e6),
						     (long)(left_us * 1e3) % 1000000000}, NULL);
		else
			due_us -= left_us; /* late: the next one is not earlier for it */
		hsk_checkpoint(-1);
	}
	return unused;
}

static double percentile(struct gaps *all, unsigned percent)
{
	qsort(all->longest_us, all->count, sizeof(*all->longest_us), compare);
	return all->longest_us[(all->count * percent + 99) / 100 - 1];
}

static bool is_input_over(void)
{
	struct pollfd input = {.fd = 0, .events = POLLIN};

	return poll(&input, 1, 0) != 0;
}

int main(int argc, char **argv)
{
	const size_t bytes = bench_argument(argc, argv, 1, 64) << 20;
	const double percent = argc > 2 ? strtod(argv[2], NULL) : 1;
	pthread_t thread;

	interval_us = (double)bench_argument(argc, argv, 3, 100) * 1e3;
	const unsigned long epochs = bench_argument(argc, argv, 4, 100);
	bench_check(epochs && epochs <= INTERVALS_MAX, "1 to 4096 epochs");
	const double stores_per_us = (double)(bytes / PAGE) * percent / 100 / interval_us;
	load(bytes);
	choose_active(percent, argc > 5 && strcmp(argv[5], "together") == 0);
	hsk_checkpoint(-1);
	printf("loaded %zu\n", block_count * (BLOCK_BYTES + sizeof(*blocks)));
	fflush(stdout);
	pthread_create(&thread, NULL, take_epochs, NULL);
	for (double due_us = now_us(); gaps.count < epochs; gaps.count++)
		gaps.longest_us[gaps.count] = store_until(due_us += interval_us, stores_per_us);
	printf("done %.0f %.0f %.0f %.0f\n", (double)stores / (double)epochs, percentile(&gaps, 50),
	       percentile(&gaps, 99), percentile(&gaps, 100));
	fflush(stdout);
	while (!is_input_over())
		store_until(now_us() + interval_us, stores_per_us);
	is_over = true;
	pthread_join(thread, NULL);
	return 0;
}
