/*
 * DESIGN 2.9: the last epoch is taken when main returns or exit or quick_exit is called, or err(3) or
 * error(3), which do that inside libc, before handlers and destructors; nothing is committed after
 * it; _exit takes none; nor does an exit inside of a section, which one line says.
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
 * run: again => status 8
 * says: heapsake: exit: called again while it waits for the last epoch; epoch \d+ is the last that is known to be durable
 * run: err => status 2
 * says: api-ending: a 1\.5 2: No such file or directory
 * run: errx => status 3
 * says: api-ending: a 1\.5 2
 * run: verr => status 4
 * says: api-ending: a 1\.5 2: No such file or directory
 * run: verrx => status 5
 * says: api-ending: a 1\.5 2
 * run: error => status 6
 * says: .*api-ending: that was no end
 * says: .*api-ending: a 1\.5 2: No such file or directory
 * run: error_at_line => status 7
 * says: .*api-ending:file:12: a 1\.5 2: No such file or directory
 * run: look
 * inert: return
 */
#include "step.h"

#include <err.h>
#include <error.h>
#include <stdarg.h>

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

/* A section that is not left, so that exit() waits until a handler calls it again. */
static _Atomic bool is_inside;

static void *stay(void *unused)
{
	pthread_sigmask(SIG_BLOCK, &(sigset_t){{1 << (SIGALRM - 1)}}, NULL);
	HSK_TX {
		is_inside = true;
		pause();
	}
	return unused;
}

static void exit_again(int number)
{
	exit(8);
}

static void end_twice(void)
{
	pthread_t thread;

	signal(SIGALRM, exit_again);
	pthread_create(&thread, NULL, stay, NULL);
	while (!is_inside)
		usleep(100);
	ualarm(100000, 0);
	exit(0);
}

static void end_by_list(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	if (step_is("verr"))
		verr(4, format, args);
	verrx(5, format, args);
}

static void end_by_line(void)
{
	errno = ENOENT;
	if (step_is("err"))
		err(2, "%s %g %d", "a", 1.5, 2);
	if (step_is("errx"))
		errx(3, "%s %g %d", "a", 1.5, 2);
	if (step_is("verr") || step_is("verrx"))
		end_by_list("%s %g %d", "a", 1.5, 2);
	if (step_is("error")) {
		error(0, 0, "that was no end");
		strcpy(last, "error 2");
		error(6, ENOENT, "%s %g %d", "a", 1.5, 2);
	}
	if (step_is("error_at_line"))
		error_at_line(7, ENOENT, "file", 12, "%s %g %d", "a", 1.5, 2);
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
	if (step_is("again"))
		end_twice();
	end_by_line();
}

int main(int argc, char **argv)
{
	static const char *const expected[] = {"", "return", "exit", "quick", "quick",
					       "quick", "quick", "thread", "thread", "err", "errx",
					       "verr", "verrx", "error 2", "error_at_line"};

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
