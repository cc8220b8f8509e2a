/*
 * One table of verbs, and what is common to all of them: output that was lost is a failure.
 *
 * A full disk, a closed pipe and a closed descriptor all show when stdout is flushed at the end;
 * SIGPIPE is ignored, so that a reader who went away is told apart from success too.
 */
#include "command.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

/* Tells the library, should it be preloaded into us, to leave us alone: preload/start.c. */
extern const char heapsake_is_command;
__attribute__((visibility("default"))) const char heapsake_is_command = 1;

const struct verb verbs[] = {
	{"run",
	 "[-p POOL] [-s SIZE] [-k none|heap|process] [-i INTERVAL] [-d cache|media] [--new]\n"
	 "           [--epoch N] [-q] [--] PROG ARG...",
	 "start a program with a pool, or go on with the one that was killed", run_main},
	{"resume", "[--epoch N] [-q] POOL", "go on with what a pool holds, whatever it is",
	 resume_main},
	{"create", "-s SIZE [--base ADDR] POOL", "make an empty pool", create_main},
	{"rm", "POOL", "remove a pool that nobody uses", rm_main},
	{"info", "[--json] POOL", "what a pool is and who uses it", info_main},
	{"ls", "[--json] POOL", "what can be found again in a pool: epochs, roots, regions", ls_main},
	{"stats", "[--json] POOL", "what keeping costs the program that runs", counters_main},
	{"checkpoint", "[--wait] [--json] PID|POOL", "one epoch of a running program, now", ask_main},
	{"check", "[--deep] [--json] POOL", "verify a pool that nobody uses", check_main},
	{"env", "-p POOL", "the environment of `run`, for a shell to eval", env_main},
	{"doctor", "[--json] [PROG]", "what will work on this machine, and with PROG",
	 doctor_main},
	{"version", "[--json]", "print the version", version_main},
};
const unsigned verb_count = sizeof(verbs) / sizeof(verbs[0]);

/* The status the caller sees: a verb whose output was lost has failed. */
static int main_finish_output(int status)
{
	bool has_failed = ferror(stdout);

	signal(SIGPIPE, SIG_IGN);
	errno = 0;
	if (fflush(stdout) == 0 && !has_failed)
		return status;
	say(SAY_ERROR, "standard output",
	    "cannot be written: %s; what was asked for is not all there",
	    errno ? strerror(errno) : "error");
	return status == STATUS_OK ? STATUS_FAILED : status;
}

int main(int argc, char **argv)
{
	if (argc < 2) {
		usage_print(stderr);
		return STATUS_USAGE;
	}
	if (!strcmp(argv[1], "--help")) {
		usage_print(stdout);
		return main_finish_output(STATUS_OK);
	}
	for (unsigned i = 0; i < verb_count; i++) {
		if (strcmp(argv[1], verbs[i].name) != 0)
			continue;
		/* A program started by run inherits what is ignored. */
		if (verbs[i].call != run_main && verbs[i].call != resume_main)
			signal(SIGPIPE, SIG_IGN);
		return main_finish_output(verbs[i].call(argc - 1, argv + 1));
	}
	return usage_unknown_verb(argv[1]);
}
