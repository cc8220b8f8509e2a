/*
 * System calls about a process and its threads: what the kernel keeps of them, asked and told.
 */
#include "os.h"

#include <asm/prctl.h>
#include <signal.h>
#include <sys/prctl.h>

#include "os-x86_64.h"

int os_prctl(int option, uint64_t a, uint64_t b)
{
	return (int)os_syscall6(SYS_prctl, option, (long)a, (long)b, 0, 0, 0);
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
