/*
 * DESIGN 2.9: the last epoch is taken when main returns or exit or quick_exit is called, before
 * handlers and destructors; nothing is committed after it; _exit takes none; nor does an exit inside
 * of a section, which one line says.
 *
 * with: HEAPSAKE_INTERVAL=0
 * run: return
 * run: exit
 * run: quick
 * run: under
 * run: section
 * says: heapsake: exit: called inside a transaction, which is not kept; epoch \d+ is the last
 * run: locked
 * says: heapsake: exit: called inside a section, with a lock held, which is not kept; epoch \d+ is the last
 * run: thread
 * run: look
 * inert: return
 */
#include "step.h"

HSK_KEEP static char last[16];
HSK_KEEP static int count;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void spoil(void)
{
	const int error = hsk_checkpoint(-1);

	if (error != -ESHUTDOWN && error != -ENODEV) {
		fprintf(stderr, "hsk_checkpoint() in a handler: %d\n", error);
		_exit(1);
	}
	HSK_TX_DURABLE { strcpy(last, "spoilt"); }
	MUST(step_is("section") || step_is("locked") || hsk_status() == error);
}

__attribute__((destructor)) static void spoil_more(void)
{
	strcpy(last, "destroyed");
}

static void *leave(void *unused)
{
	exit(0);
	return unused;
}

static void end(void)
{
	strcpy(last, step_name);
	if (step_is("exit"))
		exit(0);
	if (step_is("quick"))
		quick_exit(0);
	if (step_is("under"))
		_exit(0);
	if (step_is("section"))
		HSK_TX { exit(0); }
	if (step_is("locked")) {
		pthread_mutex_lock(&lock);
		exit(0);
	}
	if (step_is("thread")) {
		pthread_t thread;
		pthread_create(&thread, NULL, leave, NULL);
		pthread_join(thread, NULL);
	}
}

int main(int argc, char **argv)
{
	static const char *const expected[] = {"", "return", "exit", "quick", "quick",
					       "quick", "quick", "thread"};

	step_begin(argc, argv);
	atexit(spoil);
	at_quick_exit(spoil);
	if (strcmp(last, expected[count]) != 0) {
		fprintf(stderr, "after %d runs: \"%s\", expected \"%s\"\n", count, last,
			expected[count]);
		_exit(1);
	}
	count++;
	hsk_checkpoint(-1); /* the count is durable, however this run ends */
	end();
	return 0;
}
