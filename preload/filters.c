/*
 * Filters for system calls (seccomp), under keep=process.
 *
 * The problem: a filter that is set for all threads is set for the committer's, too, and kills the
 * program for a call that only the committer makes; one thread's alone kills it for what it does
 * when it is stopped for a cut. And no new process can be given the filter. So who is about to set
 * one is kept a last time, and from then on runs as if we were not there: no thread of ours is
 * left. A resume goes on just before the filter, which the program then sets again.
 */
#include "filters.h"

#include <linux/seccomp.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "preload.h"
#include "process/process.h"
#include "say.h"

static bool is_filter_for_prctl(unsigned long option, unsigned long mode, unsigned long program)
{
	return option == PR_SET_SECCOMP && (mode == SECCOMP_MODE_STRICT || program != 0);
}

/* Without a program, or strict with flags, it is a question: does the kernel know this? */
bool filters_is_call(long number, long a, long b, long c)
{
	if (number == SYS_seccomp)
		return a == SECCOMP_SET_MODE_STRICT ? b == 0 : a == SECCOMP_SET_MODE_FILTER && c != 0;
	return number == SYS_prctl && is_filter_for_prctl((unsigned long)a, (unsigned long)b,
							  (unsigned long)c);
}

void filters_give_up_for(const char *why)
{
	if (!process_is_kept)
		return;
	process_give_up(why);
	say(SAY_WARN, preload.pool.path, "%s: no epoch is taken any more, and a resume goes on from here",
	    why);
}

void filters_give_up(void)
{
	filters_give_up_for("it has set a filter for its system calls (seccomp)");
}
