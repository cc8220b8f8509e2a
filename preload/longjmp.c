/*
 * longjmp out of a block aborts it.
 *
 * Which blocks a jump leaves depends on which were open where setjmp() was called: both may stand
 * in one function, so the stack pointer does not tell. So setjmp() notes the innermost block of its
 * thread in the jmp_buf, in words of the saved signal mask that glibc will never use: the kernel's
 * mask is one word of these sixteen. Our setjmp() is a jump to libc's, since it returns twice.
 *
 * There is no room for a note where sigsetjmp() saves no mask, for the buffer may be the short one
 * of pthread_cleanup_push(); and none in a buffer that came from elsewhere. Then a block is left if
 * its stack is: if it lies below the stack pointer to come, which stands in the buffer as well,
 * hidden by a rotation and the thread's pointer guard.
 */
#include "preload.h"

#include <assert.h>
#include <setjmp.h>

#include "ours.h"
#include "tx.h"

#ifndef __x86_64__
#error "where another machine's jmp_buf has its stack pointer must be said here"
#endif
#define JMP_BUF_STACK_POINTER 6
#define JMP_BUF_NOTE_SIGN 14 /* words of the saved mask */
#define JMP_BUF_NOTE_BLOCK 15
#define NOTE_SIGN UINT64_C(0x6b737061656870a5)

static_assert(offsetof(struct __jmp_buf_tag, __saved_mask) + JMP_BUF_NOTE_SIGN * 8 == 184, "asm");
static_assert(offsetof(struct __jmp_buf_tag, __saved_mask) + JMP_BUF_NOTE_BLOCK * 8 == 192, "asm");

#define NEXT static __attribute__((noreturn)) void

NEXT (*next_longjmp)(struct __jmp_buf_tag *env, int value);
NEXT (*next_underscored)(struct __jmp_buf_tag *env, int value);
NEXT (*next_siglongjmp)(struct __jmp_buf_tag *env, int value);
NEXT (*next_checked)(struct __jmp_buf_tag *env, int value);
__attribute__((used)) static void *next_setjmp, *next_setjmp_underscored, *next_sigsetjmp;

_Noreturn void __longjmp_chk(struct __jmp_buf_tag *env, int value);

void longjmp_init(void)
{
	next_longjmp = foreign_symbol("longjmp");
	next_underscored = foreign_symbol("_longjmp");
	next_siglongjmp = foreign_symbol("siglongjmp");
	next_checked = foreign_symbol("__longjmp_chk");
	next_setjmp = foreign_symbol("setjmp");
	next_setjmp_underscored = foreign_symbol("_setjmp");
	next_sigsetjmp = foreign_symbol("__sigsetjmp");
}

/* The sign differs from buffer to buffer, so that a copied buffer has none. */
__asm__(".text\n"
	".macro note_and_jump name, next, has_mask\n"
	"	.globl \\name\n"
	"	.type \\name, @function\n"
	"\\name:\n"
	"	endbr64\n"
	"	.if \\has_mask\n"
	"	testl %esi, %esi\n"
	"	jz 1f\n"
	"	.endif\n"
	"	movq tx_innermost@gottpoff(%rip), %rax\n"
	"	movq %fs:(%rax), %rax\n"
	"	movq %rax, 192(%rdi)\n"
	"	movabsq $0x6b737061656870a5, %rax\n"
	"	xorq %rdi, %rax\n"
	"	movq %rax, 184(%rdi)\n"
	"1:	jmpq *\\next(%rip)\n"
	"	.size \\name, . - \\name\n"
	".endm\n"
	"	note_and_jump setjmp, next_setjmp, 0\n"
	"	note_and_jump _setjmp, next_setjmp_underscored, 0\n"
	"	note_and_jump __sigsetjmp, next_sigsetjmp, 1\n");

static bool find_note(const struct __jmp_buf_tag *env, struct hsk_block **ret_block)
{
	const unsigned long *words = env->__saved_mask.__val;

	*ret_block = (struct hsk_block *)words[JMP_BUF_NOTE_BLOCK];
	return words[JMP_BUF_NOTE_SIGN] == (NOTE_SIGN ^ (uintptr_t)env);
}

static uintptr_t stack_pointer_of(const struct __jmp_buf_tag *env)
{
	uintptr_t sp = (uintptr_t)env->__jmpbuf[JMP_BUF_STACK_POINTER];

	__asm__("rorq $17, %0\n\txorq %%fs:0x30, %0" : "+r"(sp));
	return sp;
}

/* The short buffer of pthread_cleanup_push() is never jumped to by these functions. */
static void leave_blocks(const struct __jmp_buf_tag *env)
{
	if (unlikely(ours_self.depth != 0)) { /* a handler leaves a call of ours, never to return */
		ours_self.depth = 1;
		ours_leave();
	}
	struct hsk_block *block;

	if (likely(!tx_is_open()))
		return;
	tx_is_jumping = true;
	if (!find_note(env, &block) || !tx_abandon_to(block))
		tx_abandon_below(stack_pointer_of(env));
}

INTERPOSE void longjmp(jmp_buf env, int value)
{
	leave_blocks(env);
	next_longjmp(env, value);
}

INTERPOSE void _longjmp(jmp_buf env, int value)
{
	leave_blocks(env);
	next_underscored(env, value);
}

INTERPOSE void siglongjmp(sigjmp_buf env, int value)
{
	leave_blocks(env);
	next_siglongjmp(env, value);
}

INTERPOSE void __longjmp_chk(struct __jmp_buf_tag *env, int value)
{
	leave_blocks(env);
	next_checked(env, value);
}
