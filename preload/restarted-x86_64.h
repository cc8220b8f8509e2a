/*
 * A system call that the kernel restarts after a signal is a thread that stands right at the
 * instruction again, its number in rax as if for the first time. x86-64; another machine is another
 * file of this shape.
 */
#pragma once

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>

static inline uintptr_t restarted_at(const ucontext_t *at)
{
	return (uintptr_t)at->uc_mcontext.gregs[REG_RIP];
}

/* Those that end with EINTR when a handler comes that is not to restart them. */
static inline bool restarted_may_end(uint64_t number)
{
	static const uint16_t numbers[] = {SYS_read, SYS_write, SYS_readv, SYS_writev, SYS_pread64,
		SYS_pwrite64, SYS_preadv, SYS_pwritev, SYS_recvfrom, SYS_recvmsg, SYS_recvmmsg,
		SYS_sendto, SYS_sendmsg, SYS_sendmmsg, SYS_accept, SYS_accept4, SYS_connect, SYS_wait4,
		SYS_waitid, SYS_flock, SYS_fcntl, SYS_open, SYS_openat, SYS_ioctl, SYS_futex,
		SYS_splice, SYS_tee, SYS_sendfile, SYS_getrandom, SYS_mq_timedsend,
		SYS_mq_timedreceive};

	for (unsigned i = 0; i < sizeof(numbers) / sizeof(*numbers); i++)
		if (numbers[i] == number)
			return true;
	return false;
}

/* Does it stand at such a call? */
static inline bool restarted_is_call(const ucontext_t *at)
{
	static const unsigned char call[2] = {0x0f, 0x05};

	return (restarted_at(at) & 4095) != 4095 &&
	       memcmp((const void *)restarted_at(at), call, sizeof(call)) == 0 &&
	       restarted_may_end((uint64_t)at->uc_mcontext.gregs[REG_RAX]);
}

/* It is not made again, but has returned EINTR. */
static inline void restarted_end(ucontext_t *at)
{
	at->uc_mcontext.gregs[REG_RAX] = -EINTR;
	at->uc_mcontext.gregs[REG_RIP] += 2;
}
