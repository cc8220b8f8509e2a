/*
 * Calls that send signals to single threads: the program's own, those of a cancellation, and those
 * by which libc gives every thread other ids. A process that is kept counts them, for a cut may
 * fall between the signal and its arrival (process.h). One to oneself has arrived when the call
 * returns, or never returns.
 */
#include <grp.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include "os.h"
#include "process/process.h"
#include "real.h"

#define COUNTED(what, call) COUNTED_IF(true, what, call)
#define COUNTED_IF(counts, what, call)                                                             \
	({                                                                                         \
		const bool is_counted = unlikely(process_is_kept) && (counts);                     \
		if (is_counted)                                                                    \
			process_##what##_begin();                                                  \
		const int result = call;                                                           \
		if (is_counted)                                                                    \
			process_##what##_end();                                                    \
		result;                                                                            \
	})

INTERPOSE int pthread_kill(pthread_t thread, int signal)
{
	return COUNTED_IF(thread != pthread_self(), signal,
			  REAL(pthread_kill)(thread, signal));
}

INTERPOSE int pthread_sigqueue(pthread_t thread, int signal, const union sigval value)
{
	return COUNTED_IF(thread != pthread_self(), signal,
			  REAL(pthread_sigqueue)(thread, signal, value));
}

INTERPOSE int pthread_cancel(pthread_t thread)
{
	return COUNTED_IF(thread != pthread_self(), signal, REAL(pthread_cancel)(thread));
}

INTERPOSE int tgkill(pid_t process, pid_t thread, int signal)
{
	return COUNTED_IF(thread != os_gettid(), signal, REAL(tgkill)(process, thread, signal));
}

INTERPOSE int setuid(uid_t uid)
{
	return COUNTED(ids, REAL(setuid)(uid));
}

INTERPOSE int seteuid(uid_t uid)
{
	return COUNTED(ids, REAL(seteuid)(uid));
}

INTERPOSE int setreuid(uid_t own, uid_t effective)
{
	return COUNTED(ids, REAL(setreuid)(own, effective));
}

INTERPOSE int setresuid(uid_t own, uid_t effective, uid_t saved)
{
	return COUNTED(ids, REAL(setresuid)(own, effective, saved));
}

INTERPOSE int setgid(gid_t gid)
{
	return COUNTED(ids, REAL(setgid)(gid));
}

INTERPOSE int setegid(gid_t gid)
{
	return COUNTED(ids, REAL(setegid)(gid));
}

INTERPOSE int setregid(gid_t own, gid_t effective)
{
	return COUNTED(ids, REAL(setregid)(own, effective));
}

INTERPOSE int setresgid(gid_t own, gid_t effective, gid_t saved)
{
	return COUNTED(ids, REAL(setresgid)(own, effective, saved));
}

INTERPOSE int setgroups(size_t count, const gid_t *groups)
{
	return COUNTED(ids, REAL(setgroups)(count, groups));
}

INTERPOSE int initgroups(const char *user, gid_t group)
{
	return COUNTED(ids, REAL(initgroups)(user, group));
}
