/*
 * See os.c for why these are not libc's. They stand apart from it because a heap needs none of
 * them.
 */
#include "task.h"

#include <asm/prctl.h>
#include <linux/capability.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>

#include "line.h"
#include "os-x86_64.h"

long os_call(long number, long a, long b, long c, long d, long e, long f)
{
	return os_syscall6(number, a, b, c, d, e, f);
}

int os_prctl(int option, uint64_t a, uint64_t b)
{
	return (int)os_syscall6(SYS_prctl, option, (long)a, (long)b, 0, 0, 0);
}

int os_arch_prctl(int code, uint64_t a)
{
	return (int)os_syscall3(SYS_arch_prctl, code, (long)a, 0);
}

#define IOPRIO_WHO_PROCESS 1

int os_get_ioprio(void)
{
	return (int)os_syscall3(SYS_ioprio_get, IOPRIO_WHO_PROCESS, 0, 0);
}

int os_set_ioprio(int priority)
{
	return (int)os_syscall3(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, priority);
}

int os_personality(unsigned persona)
{
	return (int)os_syscall3(SYS_personality, persona, 0, 0);
}

int os_get_mempolicy(int *ret_mode, uint64_t *ret_nodes, uint64_t count)
{
	return (int)os_syscall6(SYS_get_mempolicy, (long)ret_mode, (long)ret_nodes, (long)count, 0, 0, 0);
}

int os_set_mempolicy(int mode, const uint64_t *nodes, uint64_t count)
{
	return (int)os_syscall3(SYS_set_mempolicy, mode, (long)nodes, (long)count);
}

int os_mbind(void *start, size_t len, int mode, const uint64_t *nodes, uint64_t count)
{
	return (int)os_syscall6(SYS_mbind, (long)start, (long)len, mode, (long)nodes, (long)count, 0);
}

#ifndef SYS_mseal
#define SYS_mseal 462
#endif

int os_mseal(void *start, size_t len)
{
	return (int)os_syscall3(SYS_mseal, (long)start, (long)len, 0);
}

int os_get_fs(uint64_t *ret_fs, uint64_t *ret_gs)
{
	const int error = (int)os_syscall3(SYS_arch_prctl, ARCH_GET_FS, (long)ret_fs, 0);

	return error ? error : (int)os_syscall3(SYS_arch_prctl, ARCH_GET_GS, (long)ret_gs, 0);
}

int os_set_fs(uint64_t fs)
{
	return (int)os_syscall3(SYS_arch_prctl, ARCH_SET_FS, (long)fs, 0);
}

int os_set_gs(uint64_t gs)
{
	return (int)os_syscall3(SYS_arch_prctl, ARCH_SET_GS, (long)gs, 0);
}

int os_get_robust_list(uint64_t *ret_head, uint64_t *ret_bytes)
{
	return (int)os_syscall3(SYS_get_robust_list, 0, (long)ret_head, (long)ret_bytes);
}

int os_set_robust_list(uint64_t head, uint64_t bytes)
{
	return (int)os_syscall3(SYS_set_robust_list, (long)head, (long)bytes, 0);
}

void os_set_tid_address(uint64_t address)
{
	os_syscall3(SYS_set_tid_address, (long)address, 0, 0);
}

#define RSEQ_SIGNATURE 0x53053053 /* of x86, glibc's too */
#define RSEQ_UNREGISTER 1

int os_rseq_register(uint64_t area, uint32_t bytes)
{
	return (int)os_syscall4(SYS_rseq, (long)area, bytes, 0, RSEQ_SIGNATURE);
}

int os_rseq_unregister(uint64_t area, uint32_t bytes)
{
	return (int)os_syscall4(SYS_rseq, (long)area, bytes, RSEQ_UNREGISTER, RSEQ_SIGNATURE);
}

uint64_t os_sigpending(void)
{
	uint64_t mask = 0;

	os_syscall3(SYS_rt_sigpending, (long)&mask, sizeof(mask), 0);
	return mask;
}

uint64_t os_sigmask(uint64_t mask)
{
	uint64_t before = 0;

	os_syscall4(SYS_rt_sigprocmask, SIG_SETMASK, (long)&mask, (long)&before, sizeof(mask));
	return before;
}

int os_get_affinity(int tid, uint64_t *ret_mask, size_t bytes)
{
	return (int)os_syscall3(SYS_sched_getaffinity, tid, (long)bytes, (long)ret_mask);
}

int os_set_affinity(int tid, const uint64_t *mask, size_t bytes)
{
	return (int)os_syscall3(SYS_sched_setaffinity, tid, (long)bytes, (long)mask);
}

int os_get_scheduling(int tid, struct os_scheduling *ret_scheduling)
{
	return (int)os_syscall4(SYS_sched_getattr, tid, (long)ret_scheduling,
				sizeof(*ret_scheduling), 0);
}

int os_set_scheduling(int tid, const struct os_scheduling *scheduling)
{
	return (int)os_syscall3(SYS_sched_setattr, tid, (long)scheduling, 0);
}

_Noreturn void os_exit_thread(void)
{
	for (;;)
		os_syscall3(SYS_exit, 0, 0, 0);
}

int os_sigaction_set(int signal, const struct os_sigaction *action)
{
	return (int)os_syscall4(SYS_rt_sigaction, signal, (long)action, 0, sizeof(action->mask));
}

int os_sigqueue(int pid, int signal, const siginfo_t *info)
{
	return (int)os_syscall3(SYS_rt_sigqueueinfo, pid, signal, (long)info);
}

int os_sigtake(uint64_t mask, siginfo_t *ret_info)
{
	const struct timespec at_once = {0};

	return (int)os_syscall4(SYS_rt_sigtimedwait, (long)&mask, (long)ret_info, (long)&at_once,
				sizeof(mask));
}

/* ---- Who it is ---- */

void os_get_credentials(struct os_credentials *ret)
{
	os_syscall3(SYS_getresuid, (long)&ret->uid[0], (long)&ret->uid[1], (long)&ret->uid[2]);
	os_syscall3(SYS_getresgid, (long)&ret->gid[0], (long)&ret->gid[1], (long)&ret->gid[2]);
}

int os_set_credentials(const struct os_credentials *to)
{
	os_prctl(PR_SET_KEEPCAPS, 1, 0);
	int error = (int)os_syscall3(SYS_setresgid, to->gid[0], to->gid[1], to->gid[2]);
	if (!error)
		error = (int)os_syscall3(SYS_setresuid, to->uid[0], to->uid[1], to->uid[2]);
	os_prctl(PR_SET_KEEPCAPS, 0, 0);
	return error;
}

int os_get_capabilities(struct os_capabilities *ret_capabilities)
{
	struct __user_cap_header_struct self = {.version = _LINUX_CAPABILITY_VERSION_3};

	return (int)os_syscall3(SYS_capget, (long)&self, (long)ret_capabilities, 0);
}

int os_set_capabilities(const struct os_capabilities *capabilities)
{
	struct __user_cap_header_struct self = {.version = _LINUX_CAPABILITY_VERSION_3};

	return (int)os_syscall3(SYS_capset, (long)&self, (long)capabilities, 0);
}

/* Up to the first one the kernel does not know. */
static uint64_t ask_each(int option, int operation)
{
	uint64_t mask = 0;

	for (uint64_t i = 0; i < 64; i++) {
		const int has = operation ? os_prctl(option, (uint64_t)operation, i) :
					    os_prctl(option, i, 0);
		if (has < 0)
			break;
		mask |= (uint64_t)has << i;
	}
	return mask;
}

uint64_t os_get_bounding(void)
{
	return ask_each(PR_CAPBSET_READ, 0);
}

uint64_t os_get_ambient(void)
{
	return ask_each(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET);
}

int os_get_groups(uint32_t *ret_groups, unsigned max)
{
	return (int)os_syscall3(SYS_getgroups, max, (long)ret_groups, 0);
}

int os_set_groups(const uint32_t *groups, unsigned count)
{
	return (int)os_syscall3(SYS_setgroups, count, (long)groups, 0);
}

/* ---- Where it is, and what it may ---- */

int os_set_rlimit(int resource, const struct rlimit *limit)
{
	return (int)os_syscall4(SYS_prlimit64, 0, resource, (long)limit, 0);
}

unsigned os_umask(unsigned mask)
{
	return (unsigned)os_syscall3(SYS_umask, mask, 0, 0);
}

int os_chdir(const char *path)
{
	return (int)os_syscall3(SYS_chdir, (long)path, 0, 0);
}

uint64_t os_brk(uint64_t end)
{
	return (uint64_t)os_syscall3(SYS_brk, (long)end, 0, 0);
}

int os_getpgid(void)
{
	return (int)os_syscall3(SYS_getpgid, 0, 0, 0);
}

int os_getsid(void)
{
	return (int)os_syscall3(SYS_getsid, 0, 0, 0);
}

int os_setpgid(void)
{
	return (int)os_syscall3(SYS_setpgid, 0, 0, 0);
}

int os_join_group(int group)
{
	return (int)os_syscall3(SYS_setpgid, 0, group, 0);
}

int os_waitid(int type, unsigned id, siginfo_t *ret_info, int options)
{
	return (int)os_syscall6(SYS_waitid, type, id, (long)ret_info, options, 0, 0);
}

int os_setsid(void)
{
	return (int)os_syscall3(SYS_setsid, 0, 0, 0);
}

int os_membarrier_command(int command)
{
	return (int)os_syscall3(SYS_membarrier, command, 0, 0);
}

/* ---- What /proc says ---- */

static long read_of(const char *directory, uint32_t id, const char *name, char *text, size_t len)
{
	char path[64];
	struct line line = line_in(path, sizeof(path));

	line_add(&line, directory);
	line_add_number(&line, id, 10);
	line_add(&line, "/");
	line_add(&line, name);
	const long have = os_read_file(path, text, len - 1);
	text[have > 0 ? have : 0] = 0;
	return have;
}

long os_read_process(uint32_t pid, const char *name, char *text, size_t len)
{
	return read_of("/proc/", pid, name, text, len);
}

long os_read_thread(uint32_t tid, const char *name, char *text, size_t len)
{
	return read_of("/proc/self/task/", tid, name, text, len);
}

bool os_is_zombie(uint32_t tid)
{
	char text[128];

	os_read_thread(tid, "stat", text, sizeof(text));
	const char *at = strrchr(text, ')'); /* the name's end, whatever is in it */
	return at && at[1] == ' ' && at[2] == 'Z';
}

/* ---- Timers ---- */

int os_getitimer(int which, struct itimerval *ret_value)
{
	return (int)os_syscall3(SYS_getitimer, which, (long)ret_value, 0);
}

int os_setitimer(int which, const struct itimerval *value)
{
	return (int)os_syscall3(SYS_setitimer, which, (long)value, 0);
}

int os_timer_create(clockid_t clock, const struct sigevent *event, int *id)
{
	return (int)os_syscall3(SYS_timer_create, clock, (long)event, (long)id);
}

int os_timer_gettime(int id, struct itimerspec *ret_value)
{
	return (int)os_syscall3(SYS_timer_gettime, id, (long)ret_value, 0);
}

int os_timer_settime(int id, const struct itimerspec *value)
{
	return (int)os_syscall4(SYS_timer_settime, id, 0, (long)value, 0);
}

int os_timer_delete(int id)
{
	return (int)os_syscall3(SYS_timer_delete, id, 0, 0);
}
