/*
 * DESIGN 2.2, 4.9: who execs takes a last epoch, but not in the middle of a section, of which it
 * would be half.
 *
 * with: HEAPSAKE_INTERVAL=0
 * run: block
 * says: heapsake: exec: called inside a transaction, which is not kept; epoch 1 is the last
 * run: locked
 * says: heapsake: exec: called inside a section, with a lock held, which is not kept; epoch \d+ is the last
 * run: outside
 * inert: block
 */
#include <errno.h>
#include <pthread.h>
#include <unistd.h>

#include "step.h"

HSK_KEEP static int one, other;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void go(char **argv, const char *step)
{
	execl(argv[0], argv[0], step, (char *)0);
	MUST(!"exec returned");
}

int main(int argc, char **argv)
{
	step_begin(argc, argv);
	if (step_is("look") || step_is("look outside")) {
		MUST(one == other);
		MUST(step_is("look") || one == 1 || !hsk_epoch());
		return 0;
	}
	MUST(hsk_checkpoint(-1) == (hsk_epoch() ? 0 : -ENODEV));
	if (step_is("block"))
		HSK_TX {
			one++;
			go(argv, "look");
			other++;
		}
	if (step_is("locked")) {
		pthread_mutex_lock(&lock);
		one++;
		go(argv, "look");
	}
	HSK_TX {
		one++;
		other++;
	}
	go(argv, "look outside");
}
