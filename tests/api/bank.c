/*
 * DESIGN 1.3, 2.2: transactions outside, locks inside, many threads: money moves, and however the
 * program dies, none is made or lost. What was durable when it was said is there.
 *
 * with: HEAPSAKE_INTERVAL=1ms
 * with: HEAPSAKE_LOG=error
 * run: work => signal SIGKILL
 * run: work => signal SIGKILL
 * run: work => signal SIGKILL
 * run: work => signal SIGKILL
 * run: look
 * inert: work
 */
#include "step.h"

#define ACCOUNTS 64
#define START 1000
#define TELLERS 8

struct account {
	long balance;
	char *history; /* of as many bytes as moves, on the heap */
	size_t moves;
};

HSK_KEEP static struct account *accounts;
HSK_KEEP static long durable_moves[TELLERS], said_moves[TELLERS];
static pthread_mutex_t locks[ACCOUNTS];

static void move(unsigned from, unsigned to, long amount)
{
	const unsigned first = from < to ? from : to, second = from < to ? to : from;

	HSK_TX {
		pthread_mutex_lock(&locks[first]);
		pthread_mutex_lock(&locks[second]);
		accounts[from].balance -= amount;
		accounts[from].history = realloc(accounts[from].history, accounts[from].moves + 1);
		accounts[from].history[accounts[from].moves++] = (char)to;
		accounts[to].balance += amount;
		pthread_mutex_unlock(&locks[second]);
		pthread_mutex_unlock(&locks[first]);
	}
}

static void *tell(void *argument)
{
	const long teller = (long)argument;
	unsigned seed = (unsigned)teller + 1;

	for (int i = 0; i < 3000; i++) {
		const unsigned from = (unsigned)rand_r(&seed) % ACCOUNTS;
		const unsigned to = (from + 1 + (unsigned)rand_r(&seed) % (ACCOUNTS - 1)) % ACCOUNTS;
		move(from, to, rand_r(&seed) % 100);
		if (i % 100 == 0) {
			HSK_TX_DURABLE { durable_moves[teller]++; }
			if (hsk_status() == 0)
				HSK_TX { said_moves[teller] = durable_moves[teller]; }
		}
	}
	return NULL;
}

static void audit(void)
{
	long sum = 0;

	for (int i = 0; i < ACCOUNTS; i++) {
		sum += accounts[i].balance;
		for (size_t n = 0; n < accounts[i].moves; n++)
			MUST(accounts[i].history[n] != i && accounts[i].history[n] < ACCOUNTS);
	}
	MUST(sum == (long)ACCOUNTS * START);
	for (int i = 0; i < TELLERS; i++)
		MUST(said_moves[i] <= durable_moves[i]);
}

static void work(void)
{
	pthread_t tellers[TELLERS];

	for (long i = 0; i < TELLERS; i++)
		pthread_create(&tellers[i], NULL, tell, (void *)i);
	if (hsk_checkpoint(-1) == 0) {
		usleep(200000);
		step_kill();
	}
	for (int i = 0; i < TELLERS; i++)
		pthread_join(tellers[i], NULL);
}

int main(int argc, char **argv)
{
	step_begin(argc, argv);
	for (int i = 0; i < ACCOUNTS; i++)
		pthread_mutex_init(&locks[i], NULL);
	if (!accounts)
		HSK_TX {
			accounts = calloc(ACCOUNTS, sizeof(*accounts));
			for (int i = 0; i < ACCOUNTS; i++)
				accounts[i].balance = START;
		}
	audit();
	if (step_is("work"))
		work();
	audit();
	return 0;
}
