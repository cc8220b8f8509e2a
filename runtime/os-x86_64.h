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

/* fn() on the stack that ends at `top`; it does not return. */
static inline __attribute__((noreturn)) void os_jump_to_stack(void *top, void (*fn)(void))
{
	__asm__ volatile("mov %0, %%rsp\n\t"
			 "xor %%ebp, %%ebp\n\t"
			 "call *%1\n\t"
			 "hlt"
			 :
			 : "r"(top), "r"(fn)
			 : "memory");
	__builtin_unreachable();
}

static inline void os_copy_string(void *to, const void *from, size_t bytes)
{
	__asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(bytes) : : "memory");
}

/* Where the kernel lets a signal handler return to. */
static __attribute__((naked, unused)) void os_signal_return(void)
{
	__asm__ volatile("mov %0, %%eax\n\tsyscall" : : "i"(SYS_rt_sigreturn));
}
