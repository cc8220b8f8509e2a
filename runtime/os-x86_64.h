/*
 * The system call instruction of x86-64 Linux. Another machine is another file of this shape.
 *
 * The number goes to rax, arguments to rdi rsi rdx r10 r8 r9; the kernel clobbers rcx and r11 and
 * returns -errno in rax.
 */
#pragma once

#include <stdint.h>
#include <sys/syscall.h>

#define OS_ELF_MACHINE 62 /* EM_X86_64 */

static inline long os_syscall6(long number, long a, long b, long c, long d, long e, long f)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	long result;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return result;
}

static inline long os_syscall4(long number, long a, long b, long c, long d)
{
	register long r10 __asm__("r10") = d;
	long result;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10)
			 : "rcx", "r11", "memory");
	return result;
}

static inline long os_syscall3(long number, long a, long b, long c)
{
	long result;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(number), "D"(a), "S"(b), "d"(c)
			 : "rcx", "r11", "memory");
	return result;
}

/* A thread that libc has not heard of: runs fn(argument) on the given stack and ends with it. Its
 * thread pointer is its maker's, so it must not touch thread-local data. Returns its tid, or
 * -errno. clone's child returns here too, on a stack with nothing on it but what we put there. */
static inline long os_thread_clone(unsigned long flags, void **stack_top, uint32_t *tid_word,
				   void (*fn)(void *), void *argument)
{
	register uint32_t *r10 __asm__("r10") = tid_word;
	register long r8 __asm__("r8") = 0;
	long result;

	stack_top -= 2; /* 16-byte aligned, as a function wants it before the call */
	stack_top[0] = (void *)(uintptr_t)fn;
	stack_top[1] = argument;
	__asm__ volatile("syscall\n\t"
			 "test %%rax, %%rax\n\t"
			 "jnz 1f\n\t"
			 "xor %%ebp, %%ebp\n\t"
			 "mov (%%rsp), %%rax\n\t"
			 "mov 8(%%rsp), %%rdi\n\t"
			 "call *%%rax\n\t"
			 "xor %%edi, %%edi\n\t"
			 "mov %[exit], %%eax\n\t"
			 "syscall\n\t"
			 "hlt\n"
			 "1:"
			 : "=a"(result)
			 : "a"(SYS_clone), "D"(flags), "S"(stack_top), "d"(0), "r"(r10), "r"(r8),
			   [exit] "i"(SYS_exit)
			 : "rcx", "r11", "memory");
	return result;
}

/* Where the kernel lets a signal handler return to. */
static __attribute__((naked, unused)) void os_signal_return(void)
{
	__asm__ volatile("mov %0, %%eax\n\tsyscall" : : "i"(SYS_rt_sigreturn));
}

/* The kernel's struct clone_args, up to set_tid. */
struct os_clone {
	uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_bytes, tls;
	uint64_t set_tid, set_tid_count;
};

/* A thread by clone3: fn(argument), which never returns, on clone->stack, with clone->tls. Returns
 * its tid, or -errno. Without CLONE_VM, stack 0: a process, where fn runs on a copy of this one. */
static inline long os_clone3(const struct os_clone *clone, void (*fn)(void *), void *argument)
{
	register void (*r12)(void *) __asm__("r12") = fn;
	register void *r13 __asm__("r13") = argument;
	long result;

	__asm__ volatile("syscall\n\t"
			 "test %%rax, %%rax\n\t"
			 "jnz 1f\n\t"
			 "xor %%ebp, %%ebp\n\t"
			 "mov %%r13, %%rdi\n\t"
			 "and $-16, %%rsp\n\t"
			 "call *%%r12\n\t"
			 "hlt\n"
			 "1:"
			 : "=a"(result)
			 : "a"(SYS_clone3), "D"(clone), "S"(sizeof(*clone)), "r"(r12), "r"(r13)
			 : "rcx", "r11", "memory");
	return result;
}

/* Where a function stands that will be returned to from elsewhere: what it has to find again. */
struct os_frame {
	uint64_t rbx, rbp, r12, r13, r14, r15, rsp, rip;
};

/* os_frame_mark() - notes where its caller stands: NULL. Again when somebody jumps there: what was
 * given to os_frame_jump(). What the caller keeps on the stack must be as it was. */
static __attribute__((naked, noinline, unused, returns_twice)) void *
os_frame_mark(struct os_frame *frame)
{
	__asm__("mov %rbx, (%rdi)\n\t"
		"mov %rbp, 8(%rdi)\n\t"
		"mov %r12, 16(%rdi)\n\t"
		"mov %r13, 24(%rdi)\n\t"
		"mov %r14, 32(%rdi)\n\t"
		"mov %r15, 40(%rdi)\n\t"
		"lea 8(%rsp), %rax\n\t"
		"mov %rax, 48(%rdi)\n\t"
		"mov (%rsp), %rax\n\t"
		"mov %rax, 56(%rdi)\n\t"
		"xor %eax, %eax\n\t"
		"ret");
}

static __attribute__((naked, noinline, unused)) void os_frame_jump(const struct os_frame *frame,
								    void *given)
{
	__asm__("mov (%rdi), %rbx\n\t"
		"mov 8(%rdi), %rbp\n\t"
		"mov 16(%rdi), %r12\n\t"
		"mov 24(%rdi), %r13\n\t"
		"mov 32(%rdi), %r14\n\t"
		"mov 40(%rdi), %r15\n\t"
		"mov 48(%rdi), %rsp\n\t"
		"mov %rsi, %rax\n\t"
		"jmp *56(%rdi)");
}

/* Where a machine has it for programs too (AT_HWCAP2), this is all it takes. */
#define OS_HWCAP2_FSGSBASE 2u
static inline uint64_t os_fs_base(void)
{
	uint64_t base;

	__asm__ volatile("rdfsbase %0" : "=r"(base));
	return base;
}

static inline uint64_t os_gs_base(void)
{
	uint64_t base;

	__asm__ volatile("rdgsbase %0" : "=r"(base));
	return base;
}

static inline void os_relax(void)
{
	__asm__ volatile("pause");
}
