/*
 * The same work for everybody who keeps records: accounts, looked up by number; money moves between
 * two at random, and every sixteenth operation opens a new one. So many operations are one
 * transaction. Who keeps them stands behind accounts.h, one executable each: this heap, libpmemobj,
 * SQLite, a mapping and msync, redis. At the end no money may be missing.
 *
 * usage: accounts-STORE KIND PATH COUNT
 *
 * Says "ready" when COUNT accounts are open; then, for each line "BATCH SECONDS" of its input, works
 * that long in transactions of BATCH operations and says "OPERATIONS SECONDS". So several of them
 * can take turns, and each turn meets the same machine.
 */
#include "accounts.h"

#include <time.h>

#include "micro/bench.h"

#define INSERT_EVERY 16

static struct bench_random dice = {1};
static uint64_t account_count, operation_count;

static double now_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void open_some(void *count)
{
	for (unsigned i = 0; i < *(const unsigned *)count; i++)
		accounts_insert(account_count++);
}

static void operate(void *batch)
{
	for (unsigned i = 0; i < *(const unsigned *)batch; i++) {
		if (++operation_count % INSERT_EVERY == 0) {
			accounts_insert(account_count++);
			continue;
		}
		const uint64_t from = bench_below(&dice, (uint32_t)account_count);
		const uint64_t to = bench_below(&dice, (uint32_t)account_count);
		accounts_move(from, to, bench_below(&dice, 100));
	}
}

static void work(unsigned batch, double seconds)
{
	const uint64_t before = operation_count;
	const double began_s = now_s();
	double at_s;

	do { /* the clock is a part of no store's work: it is read once in sixteen */
		for (int i = 0; i < 16; i++)
			accounts_transact(operate, &batch);
		at_s = now_s();
	} while (at_s - began_s < seconds);
	printf("%llu %.6f\n", (unsigned long long)(operation_count - before), at_s - began_s);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	char line[100];
	unsigned batch;
	double seconds;

	bench_check(argc == 4, "usage: accounts-STORE KIND PATH COUNT");
	const uint64_t count = strtoull(argv[3], NULL, 10);
	accounts_open(argv[1], argv[2]);
	while (account_count < count) {
		unsigned some = count - account_count < 1000 ? (unsigned)(count - account_count) : 1000;
		accounts_transact(open_some, &some);
	}
	printf("ready\n");
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin) && sscanf(line, "%u %lf", &batch, &seconds) == 2)
		work(batch, seconds);
	bench_check(accounts_total(account_count) == (int64_t)account_count * ACCOUNTS_BALANCE,
		    "money is missing");
	accounts_close();
	return 0;
}
