/*
 * What a program tells the kernel of itself, by name or by number (syscall.c), under keep=process:
 * noted, so that the next cut asks for it; and what no next process can be given, from which on
 * there is no epoch. Call and note are one section of ours: no cut falls between them.
 *
 * Namespaces and tables that it no longer shares are another matter: our thread shares them with
 * it and would hold the old ones, and some are refused to who has a second thread. So it is kept a
 * last time just before, and our thread is gone, as with filters for system calls.
 */
#include "told-calls.h"

#include <asm/prctl.h>
#include <errno.h>
#include <linux/keyctl.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/io.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "filters.h"
#include "os.h"
#include "ours.h"
#include "preload.h"
#include "process/process.h"
#include "real.h"
#include "task.h"

#ifndef SYS_landlock_restrict_self
#define SYS_landlock_restrict_self 446
#endif
/* asm/prctl.h of newer kernels */
#define REQUEST_XCOMP_PERM 0x1023
#define ENABLE_TAGGED_ADDRESSES 0x4002
#define ENABLE_SHADOW_STACK 0x5001

/* ---- What it means ---- */

static const char *unkept_by_prctl(long option, long value)
{
	switch (option) {
	case PR_SET_SYSCALL_USER_DISPATCH:
		return value ? "a handler of system calls (syscall user dispatch)" : NULL;
	case PR_SCHED_CORE:
		return value ? "a processor shared with its like alone (core scheduling)" : NULL;
	case PR_SET_MM:
		return value == PR_SET_MM_MAP_SIZE ? NULL : "memory said to be elsewhere (PR_SET_MM)";
	default:
		return NULL;
	}
}

static const char *unkept_by_arch(long code)
{
	switch (code) {
	case REQUEST_XCOMP_PERM:
		return "leave to use AMX tiles (arch_prctl)";
	case ENABLE_TAGGED_ADDRESSES:
		return "a tag in addresses (arch_prctl)";
	case ENABLE_SHADOW_STACK:
		return "a shadow stack (arch_prctl)";
	default:
		return NULL;
	}
}

static bool is_own_keyring(long keyring)
{
	return (int)keyring == KEY_SPEC_THREAD_KEYRING || (int)keyring == KEY_SPEC_PROCESS_KEYRING;
}

static bool is_for_own_keyring(long number, long a, long b, long c, long e)
{
	if (number == SYS_add_key)
		return is_own_keyring(e);
	return a == KEYCTL_JOIN_SESSION_KEYRING ||
	       (a == KEYCTL_GET_KEYRING_ID && is_own_keyring(b) && c);
}

/* NULL: nothing that could not be done again. */
static const char *unkept_by(long number, long a, long b, long c, long e)
{
	switch (number) {
	case SYS_prctl:
		return unkept_by_prctl(a, b);
	case SYS_arch_prctl:
		return unkept_by_arch(a);
	case SYS_landlock_restrict_self:
		return "a restriction by landlock";
	case SYS_add_key:
	case SYS_keyctl:
		return is_for_own_keyring(number, a, b, c, e) ? "a keyring of its own" : NULL;
	case SYS_ioperm:
	case SYS_iopl:
		return "access to I/O ports (ioperm, iopl)";
	case SYS_modify_ldt:
		return a ? "a segment of its own (modify_ldt)" : NULL;
	default:
		return NULL;
	}
}

static int told_by(long number, long a)
{
	if (number != SYS_prctl)
		return number == SYS_sched_setattr || number == SYS_rseq ? PROCESS_TOLD_USUAL
									 : PROCESS_TOLD_SOME;
	switch (a) {
	case PR_SET_NAME:
	case PR_SET_TIMERSLACK:
	case PR_SET_PDEATHSIG:
	case PR_SET_NO_NEW_PRIVS:
	case PR_SET_DUMPABLE:
		return 0;
	case PR_CAPBSET_DROP:
	case PR_CAP_AMBIENT:
	case PR_SET_SECUREBITS:
	case PR_SET_KEEPCAPS:
		return PROCESS_TOLD_RIGHTS;
	default:
		return PROCESS_TOLD_SOME;
	}
}

/* Most ask, and change nothing; their numbers are no rule. */
static bool is_question(long number, long a)
{
	static const int questions[] = {PR_GET_NAME, PR_GET_DUMPABLE, PR_GET_PDEATHSIG, PR_GET_KEEPCAPS,
					PR_CAPBSET_READ, PR_GET_SECUREBITS, PR_GET_TIMERSLACK, PR_GET_TSC,
					PR_GET_NO_NEW_PRIVS, PR_GET_CHILD_SUBREAPER, PR_GET_THP_DISABLE,
					PR_GET_SECCOMP, PR_GET_TID_ADDRESS, PR_MCE_KILL_GET,
					PR_GET_SPECULATION_CTRL, PR_SET_VMA, PR_SET_CHILD_SUBREAPER,
					PR_SET_THP_DISABLE};

	for (unsigned i = 0; number == SYS_prctl && i < sizeof(questions) / sizeof(*questions); i++)
		if (questions[i] == a)
			return true;
	return number == SYS_personality && (uint32_t)a == UINT32_MAX;
}

/* The call itself, and what is to be known of it. */
static long tell(long number, long a, long b, long c, long d, long e)
{
	const bool is_noted = process_is_kept && !is_question(number, a);

	if (is_noted)
		ours_enter();
	const long result = os_call(number, a, b, c, d, e, 0);
	if (is_noted) {
		const char *const unkept = result >= 0 ? unkept_by(number, a, b, c, e) : NULL;
		if (unkept)
			process_note_unkept(unkept);
		else if (result >= 0 && (told_is_about_self(number) || number == SYS_rseq))
			process_note_told(told_by(number, a));
		ours_leave();
	}
	if (result >= 0 || result < -4095)
		return result;
	errno = (int)-result;
	return -1;
}

/* ---- By name ---- */

INTERPOSE int prctl(int option, ...)
{
	long values[4];
	va_list args;

	va_start(args, option); /* what was not passed is garbage, and not looked at */
	for (unsigned i = 0; i < 4; i++)
		values[i] = va_arg(args, long);
	va_end(args);
	if (likely(!process_is_kept))
		return REAL(prctl)(option, values[0], values[1], values[2], values[3]);
	if (filters_is_call(SYS_prctl, option, values[0], values[1])) {
		filters_give_up();
		return REAL(prctl)(option, values[0], values[1], values[2], values[3]);
	}
	return (int)tell(SYS_prctl, option, values[0], values[1], values[2], values[3]);
}

INTERPOSE int personality(unsigned long persona)
{
	return (int)tell(SYS_personality, (long)persona, 0, 0, 0, 0);
}

int arch_prctl(int code, unsigned long address);
INTERPOSE int arch_prctl(int code, unsigned long address)
{
	return (int)tell(SYS_arch_prctl, code, (long)address, 0, 0, 0);
}

INTERPOSE int ioperm(unsigned long from, unsigned long count, int turn_on)
{
	return (int)tell(SYS_ioperm, (long)from, (long)count, turn_on, 0, 0);
}

INTERPOSE int iopl(int level)
{
	return (int)tell(SYS_iopl, level, 0, 0, 0, 0);
}

int modify_ldt(int function, void *entry, unsigned long bytes);
INTERPOSE int modify_ldt(int function, void *entry, unsigned long bytes)
{
	return (int)tell(SYS_modify_ldt, function, (long)entry, (long)bytes, 0, 0);
}

/* What every cut could ask for, but does only now and then: of the calling thread alone, or of all
 * of them, for who knows which. */
#define USUAL(is_own, call)                                                                        \
	({                                                                                         \
		ours_enter();                                                                      \
		const int result = call;                                                           \
		if (unlikely(process_is_kept))                                                     \
			process_note_told((is_own) ? 0 : PROCESS_TOLD_USUAL);                      \
		ours_leave();                                                                      \
		result;                                                                            \
	})

INTERPOSE int nice(int more)
{
	return USUAL(true, REAL(nice)(more));
}

INTERPOSE int setpriority(__priority_which_t which, id_t whose, int priority)
{
	return USUAL(which == PRIO_PROCESS && whose == 0,
		     REAL(setpriority)(which, whose, priority));
}

INTERPOSE int sched_setaffinity(pid_t tid, size_t len, const cpu_set_t *set)
{
	return USUAL(tid == 0, REAL(sched_setaffinity)(tid, len, set));
}

INTERPOSE int sched_setscheduler(pid_t tid, int policy, const struct sched_param *param)
{
	return USUAL(tid == 0, REAL(sched_setscheduler)(tid, policy, param));
}

INTERPOSE int sched_setparam(pid_t tid, const struct sched_param *param)
{
	return USUAL(tid == 0, REAL(sched_setparam)(tid, param));
}

INTERPOSE int pthread_setaffinity_np(pthread_t thread, size_t len, const cpu_set_t *set)
{
	return USUAL(thread == pthread_self(),
		     REAL(pthread_setaffinity_np)(thread, len, set));
}

INTERPOSE int pthread_setschedparam(pthread_t thread, int policy, const struct sched_param *param)
{
	return USUAL(thread == pthread_self(),
		     REAL(pthread_setschedparam)(thread, policy, param));
}

INTERPOSE int pthread_setschedprio(pthread_t thread, int priority)
{
	return USUAL(thread == pthread_self(),
		     REAL(pthread_setschedprio)(thread, priority));
}

INTERPOSE int pthread_setname_np(pthread_t thread, const char *name)
{
	return USUAL(thread == pthread_self(),
		     REAL(pthread_setname_np)(thread, name));
}

/* ---- What is left with our thread ---- */

#define TRIES 50
#define PAUSE_NS 1000000

static const char *reason_to_leave(long number, long a)
{
	const long namespaces = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC |
				CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET | 0x80 /* ..._NEWTIME */;

	if (number == SYS_chroot || number == SYS_pivot_root)
		return "it has another root directory (chroot)";
	if (number == SYS_setns || a & namespaces)
		return "it has entered another namespace (unshare, setns)";
	return a & (CLONE_FS | CLONE_FILES | CLONE_SYSVSEM) ?
		       "a thread has directories or descriptors of its own (unshare)" : NULL;
}

/* Of a thread that has ended the kernel counts a moment longer than we see it. */
static long leave(long number, long a, long b)
{
	const char *const why = process_is_kept ? reason_to_leave(number, a) : NULL;
	long result = -EINVAL;

	if (why)
		filters_give_up_for(why);
	for (int i = 0; result == -EINVAL && i < (why ? TRIES : 1); i++) {
		if (i > 0)
			os_sleep_ns(PAUSE_NS);
		result = os_call(number, a, b, 0, 0, 0, 0);
	}
	if (result >= 0)
		return result;
	errno = (int)-result;
	return -1;
}

INTERPOSE int unshare(int flags)
{
	return (int)leave(SYS_unshare, flags, 0);
}

INTERPOSE int setns(int fd, int kind)
{
	return (int)leave(SYS_setns, fd, kind);
}

INTERPOSE int chroot(const char *path)
{
	return (int)leave(SYS_chroot, (long)path, 0);
}

/* ---- By number ---- */

bool told_is_about_self(long number)
{
	return number == SYS_prctl || number == SYS_arch_prctl || number == SYS_personality ||
	       number == SYS_ioprio_set || number == SYS_set_mempolicy ||
	       number == SYS_sched_setattr;
}

bool told_is_call(long number)
{
	switch (number) {
	case SYS_landlock_restrict_self:
	case SYS_add_key:
	case SYS_keyctl:
	case SYS_ioperm:
	case SYS_iopl:
	case SYS_modify_ldt:
	case SYS_rseq:
	case SYS_unshare:
	case SYS_setns:
	case SYS_chroot:
	case SYS_pivot_root:
		return true;
	default:
		return told_is_about_self(number);
	}
}

static bool is_leaving(long number)
{
	return number == SYS_unshare || number == SYS_setns || number == SYS_chroot ||
	       number == SYS_pivot_root;
}

long told_call(long number, long a, long b, long c, long d, long e)
{
	return is_leaving(number) ? leave(number, a, b) : tell(number, a, b, c, d, e);
}
