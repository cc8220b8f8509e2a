/*
 * System calls about a process, its threads and timers that only a process kept whole needs: 0, a
 * count or a number on success, -errno on failure. As os.h: no errno, no thread-local data, on any
 * thread.
 */
#pragma once

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <time.h>

#include "os.h"

/* os_call() - any, by number and as it is */
long os_call(long number, long a, long b, long c, long d, long e, long f);
int os_prctl(int option, uint64_t a, uint64_t b);
int os_arch_prctl(int code, uint64_t a);
int os_get_ioprio(void); /* of this thread */
int os_set_ioprio(int priority);
int os_personality(unsigned persona); /* the one before; UINT32_MAX only asks */
/* NUMA policies: of this thread, and of memory; count: of nodes, in whole words */
int os_get_mempolicy(int *ret_mode, uint64_t *ret_nodes, uint64_t count);
int os_set_mempolicy(int mode, const uint64_t *nodes, uint64_t count);
int os_mbind(void *start, size_t len, int mode, const uint64_t *nodes, uint64_t count);
int os_mseal(void *start, size_t len); /* Linux 6.10 */
int os_get_fs(uint64_t *ret_fs, uint64_t *ret_gs);
int os_set_fs(uint64_t fs);
int os_set_gs(uint64_t gs);
int os_get_robust_list(uint64_t *ret_head, uint64_t *ret_bytes);
int os_set_robust_list(uint64_t head, uint64_t bytes);
void os_set_tid_address(uint64_t address);
/* os_rseq_register() - -EBUSY: it is registered, just so; -EINVAL: another area or size is */
int os_rseq_register(uint64_t area, uint32_t bytes);
int os_rseq_unregister(uint64_t area, uint32_t bytes);
uint64_t os_sigpending(void); /* blocked ones that wait: this thread's and the process's */
uint64_t os_sigmask(uint64_t mask); /* all of them, libc's own as well; returns the one before */
int os_get_affinity(int tid, uint64_t *ret_mask, size_t bytes); /* bytes filled */
int os_set_affinity(int tid, const uint64_t *mask, size_t bytes);
struct os_scheduling { /* the kernel's struct sched_attr, first version */
	uint32_t size;
	uint32_t policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period;
};
int os_get_scheduling(int tid, struct os_scheduling *ret_scheduling);
_Noreturn void os_exit_thread(void); /* the calling one alone; others go on */
int os_set_scheduling(int tid, const struct os_scheduling *scheduling);
/* os_sigaction_set() - as it is, whatever libc may think of it */
int os_sigaction_set(int signal, const struct os_sigaction *action);
int os_sigqueue(int pid, int signal, const siginfo_t *info); /* to ourselves: any si_code */
/* os_sigtake() - one of these that waits, which does not wait any more; its number, or -EAGAIN */
int os_sigtake(uint64_t mask, siginfo_t *ret_info);

struct os_credentials {
	uint32_t uid[3], gid[3]; /* real, effective, saved */
};
void os_get_credentials(struct os_credentials *ret_credentials);
/* os_set_credentials() - of this thread alone, with its capabilities still there. 0 or -errno */
int os_set_credentials(const struct os_credentials *credentials);
struct os_capabilities {
	uint32_t sets[2][3]; /* low and high half: effective, permitted, inheritable */
};
int os_get_capabilities(struct os_capabilities *ret_capabilities);
int os_set_capabilities(const struct os_capabilities *capabilities);
/* os_get_bounding(), os_get_ambient() - those sets as masks: a call for each capability */
uint64_t os_get_bounding(void);
uint64_t os_get_ambient(void);
int os_get_groups(uint32_t *ret_groups, unsigned max); /* how many */
int os_set_groups(const uint32_t *groups, unsigned count);

int os_set_rlimit(int resource, const struct rlimit *limit);
unsigned os_umask(unsigned mask);
int os_chdir(const char *path);
uint64_t os_brk(uint64_t end); /* where it is now; 0 only asks */
int os_getpgid(void);
int os_getsid(void);
int os_setpgid(void); /* a group of its own */
int os_join_group(int group);
int os_setsid(void);
/* os_waitid() - waitid(2); *ret_info is what it says, si_pid 0: nobody's */
int os_waitid(int type, unsigned id, siginfo_t *ret_info, int options);
int os_membarrier_command(int command);

/* os_read_process(), os_read_thread() - the beginning of /proc/PID/`name`, or of
 * /proc/self/task/TID/`name`, with a zero behind it: len bytes at most. Its length, or -errno and
 * "" */
long os_read_process(uint32_t pid, const char *name, char *text, size_t len);
long os_read_thread(uint32_t tid, const char *name, char *text, size_t len);
bool os_is_zombie(uint32_t tid); /* of ours: has ended, and stays as long as others run */

int os_getitimer(int which, struct itimerval *ret_value);
int os_setitimer(int which, const struct itimerval *value);
int os_timer_create(clockid_t clock, const struct sigevent *event, int *id);
int os_timer_gettime(int id, struct itimerspec *ret_value);
int os_timer_settime(int id, const struct itimerspec *value);
int os_timer_delete(int id);
