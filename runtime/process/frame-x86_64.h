/*
 * Frame: a thread's way back into the middle of its stack, and the clone that takes it. x86-64;
 * another machine is another file of this shape.
 */
#pragma once

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>

/* The kernel's struct clone_args, up to set_tid. */
struct frame_clone {
	uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_bytes, tls;
	uint64_t set_tid, set_tid_count;
};

/* fn(argument), which never returns, is what a new thread does first. */
#define FRAME_CLONE                                                                            \
	"syscall\n\t"                                                                          \
	"test %%rax, %%rax\n\t"                                                                \
	"jnz 1f\n\t"                                                                           \
	"xor %%ebp, %%ebp\n\t"                                                                 \
	"mov %%r13, %%rdi\n\t"                                                                 \
	"and $-16, %%rsp\n\t"                                                                  \
	"call *%%r12\n\t"                                                                      \
	"hlt\n"                                                                                \
	"1:"

static inline long frame_clone3(const struct frame_clone *clone, void (*fn)(void *), void *argument)
{
	register void (*r12)(void *) __asm__("r12") = fn;
	register void *r13 __asm__("r13") = argument;
	long result;

	__asm__ volatile(FRAME_CLONE
			 : "=a"(result)
			 : "a"(SYS_clone3), "D"(clone), "S"(sizeof(*clone)), "r"(r12), "r"(r13)
			 : "rcx", "r11", "memory");
	return result;
}

static inline long frame_clone1(const struct frame_clone *clone, void (*fn)(void *), void *argument)
{
	register uint64_t r10 __asm__("r10") = clone->child_tid;
	register uint64_t r8 __asm__("r8") = clone->tls;
	register void (*r12)(void *) __asm__("r12") = fn;
	register void *r13 __asm__("r13") = argument;
	long result;

	__asm__ volatile(FRAME_CLONE
			 : "=a"(result)
			 : "a"(SYS_clone), "D"(clone->flags | clone->exit_signal),
			   "S"(clone->stack + clone->stack_bytes), "d"(clone->parent_tid), "r"(r10),
			   "r"(r8), "r"(r12), "r"(r13)
			 : "rcx", "r11", "memory");
	return result;
}

/* A thread: fn(argument), which never returns, on clone->stack, with clone->tls. Returns its tid,
 * or -errno. Without CLONE_VM, stack 0: a process, where fn runs on a copy of this one. Who forbids
 * namespaces by a filter often says that there is no clone3, whose flags a filter cannot see
 * (systemd's RestrictNamespaces, containers); only who wants a number needs it. */
static inline long frame_clone(const struct frame_clone *clone, void (*fn)(void *), void *argument)
{
	const long result = frame_clone3(clone, fn, argument);

	if (result == -ENOSYS && !clone->set_tid_count)
		return frame_clone1(clone, fn, argument);
	return result;
}

/* Where a function stands that will be returned to from elsewhere: what it has to find again. */
struct frame {
	uint64_t rbx, rbp, r12, r13, r14, r15, rsp, rip;
};

/* frame_mark() - notes where its caller stands: NULL. Again when somebody jumps there: what was
 * given to frame_jump(). What the caller keeps on the stack must be as it was. */
static __attribute__((naked, noinline, unused, returns_twice)) void *
frame_mark(struct frame *frame)
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

static __attribute__((naked, noinline, unused)) void frame_jump(const struct frame *frame,
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

/* Where a handler with this context returns to. */
static inline uintptr_t frame_return(const void *context)
{
	return (uintptr_t)((const ucontext_t *)context)->uc_mcontext.gregs[REG_RIP];
}

/* The signals that are blocked where it returns to. */
static inline uint64_t frame_blocked(const void *context)
{
	uint64_t mask;

	memcpy(&mask, &((const ucontext_t *)context)->uc_sigmask, sizeof(mask));
	return mask;
}

/* Where a machine has it for programs too (AT_HWCAP2), this is all it takes. */
#define FRAME_HWCAP2_FSGSBASE 2u
static inline uint64_t frame_fs(void)
{
	uint64_t base;

	__asm__ volatile("rdfsbase %0" : "=r"(base));
	return base;
}

static inline uint64_t frame_gs(void)
{
	uint64_t base;

	__asm__ volatile("rdgsbase %0" : "=r"(base));
	return base;
}

static inline void frame_relax(void)
{
	__asm__ volatile("pause");
}
