/*
 * What a program, and each of its threads, has told the kernel of itself holds in its next lives.
 */
#include <asm/prctl.h>
#include <errno.h>
#include <linux/capability.h>
#include <linux/mempolicy.h>
#include <linux/securebits.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "killed.h"

#define LIVES 3
#define PAGE 4096ul
#define SET_MDWE 65
#define GET_MDWE 66
#define SET_MEMORY_MERGE 67
#define GET_MEMORY_MERGE 68
#define IDLE (3 << 13) /* ioprio: IOPRIO_CLASS_IDLE */
#define LOW (2 << 13 | 7)

/* ---- What is each thread's own ---- */

static bool has_cpuid_fault, has_no_bypass, has_policies;

static int ioprio(void)
{
	return (int)syscall(SYS_ioprio_get, 1, 0);
}

static int policy(void)
{
	int mode = -1;
	unsigned long nodes[2];

	return syscall(SYS_get_mempolicy, &mode, nodes, 128, NULL, 0) == 0 ? mode : -1;
}

static void tell_thread(void)
{
	MUST(prctl(PR_SET_TIMERSLACK, 4711) == 0);
	MUST(prctl(PR_MCE_KILL, PR_MCE_KILL_SET, PR_MCE_KILL_EARLY, 0, 0) == 0);
	MUST(syscall(SYS_ioprio_set, 1, 0, LOW) == 0);
	MUST(personality(PER_LINUX | ADDR_NO_RANDOMIZE | UNAME26) >= 0);
	has_no_bypass = prctl(PR_SET_SPECULATION_CTRL, PR_SPEC_STORE_BYPASS, PR_SPEC_DISABLE, 0, 0) == 0;
	has_cpuid_fault = syscall(SYS_arch_prctl, ARCH_SET_CPUID, 0) == 0;
	has_policies = syscall(SYS_set_mempolicy, MPOL_PREFERRED, (unsigned long[]){1}, 64) == 0;
}

static void check_thread(void)
{
	MUST(prctl(PR_GET_TIMERSLACK) == 4711);
	MUST(prctl(PR_MCE_KILL_GET, 0, 0, 0, 0) == PR_MCE_KILL_EARLY);
	MUST(ioprio() == LOW);
	MUST(personality(0xffffffff) == (PER_LINUX | ADDR_NO_RANDOMIZE | UNAME26));
	MUST(!has_no_bypass || prctl(PR_GET_SPECULATION_CTRL, PR_SPEC_STORE_BYPASS, 0, 0, 0) &
				       PR_SPEC_DISABLE);
	MUST(!has_cpuid_fault || syscall(SYS_arch_prctl, ARCH_GET_CPUID) == 0);
	MUST(!has_policies || policy() == MPOL_PREFERRED);
}

static bool has_no_tsc; /* of the other thread, which asks no clock */
static pid_t other_tid;

static void check_other(void)
{
	int may_read_tsc = 0;

	MUST(prctl(PR_MCE_KILL_GET, 0, 0, 0, 0) == PR_MCE_KILL_DEFAULT);
	MUST(ioprio() == IDLE);
	MUST(personality(0xffffffff) == (PER_LINUX | ADDR_NO_RANDOMIZE));
	MUST(!has_policies || policy() == MPOL_DEFAULT);
	MUST(!has_no_tsc || (prctl(PR_GET_TSC, &may_read_tsc) == 0 && may_read_tsc == PR_TSC_SIGSEGV));
}

static pthread_barrier_t turn;

static void *be_other(void *unused)
{
	other_tid = gettid();
	MUST(syscall(SYS_ioprio_set, 1, 0, IDLE) == 0);
	has_no_tsc = prctl(PR_SET_TSC, PR_TSC_SIGSEGV) == 0;
	for (int life = 1; life <= LIVES; life++) {
		check_other();
		pthread_barrier_wait(&turn);
		pthread_barrier_wait(&turn);
	}
	check_other();
	return unused;
}

/* ---- What cuts ask for now and then: a change is not to wait for that ---- */

/* Another thread's, too; and each alone, or one would bring the others to notice. */
static void change(int life)
{
	const struct sched_param none = {0};
	cpu_set_t first;

	CPU_ZERO(&first);
	CPU_SET(0, &first);
	if (life == 1)
		MUST(sched_setaffinity(0, sizeof(first), &first) == 0);
	if (life == 2)
		MUST(setpriority(PRIO_PROCESS, (id_t)other_tid, 5) == 0);
	if (life == 3)
		MUST(pthread_setschedparam(pthread_self(), SCHED_BATCH, &none) == 0);
}

static void check_changed(int life)
{
	cpu_set_t now;

	MUST(sched_getaffinity(0, sizeof(now), &now) == 0 && CPU_COUNT(&now) == 1);
	MUST(getpriority(PRIO_PROCESS, (id_t)other_tid) == (life < 2 ? 0 : 5));
	MUST(sched_getscheduler(0) == (life < 3 ? SCHED_OTHER : SCHED_BATCH));
}

/* ---- What is the process's ---- */

static bool merges, refuses_gain;
static char code[PAGE] __attribute__((aligned(4096)));

static bool is_core_filter(const char *wanted)
{
	FILE *file = fopen("/proc/self/coredump_filter", "r");
	char text[32] = "";
	const bool is_read = file && fgets(text, sizeof(text), file);

	if (file)
		fclose(file);
	return is_read && strcmp(text, wanted) == 0;
}

static void tell_process(void)
{
	FILE *file = fopen("/proc/self/coredump_filter", "w");

	MUST(file && fputs("0x7b", file) > 0 && fclose(file) == 0);
	merges = prctl(SET_MEMORY_MERGE, 1, 0, 0, 0) == 0;
	refuses_gain = prctl(SET_MDWE, 1, 0, 0, 0) == 0;
}

static void check_process(void)
{
	MUST(is_core_filter("0000007b\n"));
	MUST(!merges || prctl(GET_MEMORY_MERGE, 0, 0, 0, 0) == 1);
	MUST(!refuses_gain || prctl(GET_MDWE, 0, 0, 0, 0) == 1);
	MUST(!refuses_gain || mprotect(code, PAGE, PROT_READ | PROT_EXEC) == -1);
}

/* ---- Rights ---- */

#define INHERITED CAP_CHOWN

static bool has_rights;

static bool is_able(unsigned capability, unsigned which)
{
	struct __user_cap_header_struct self = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct sets[2];

	if (syscall(SYS_capget, &self, sets) != 0)
		return false;
	const unsigned masks[] = {sets[0].effective, sets[0].permitted, sets[0].inheritable};
	return masks[which] >> capability & 1;
}

static void give_up(void)
{
	struct __user_cap_header_struct self = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct sets[2];

	if (geteuid() != 0 || prctl(PR_CAPBSET_DROP, CAP_SYS_BOOT, 0, 0, 0) != 0)
		return;
	has_rights = true;
	MUST(syscall(SYS_capget, &self, sets) == 0);
	sets[0].inheritable |= 1u << INHERITED;
	MUST(syscall(SYS_capset, &self, sets) == 0);
	MUST(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, INHERITED, 0, 0) == 0);
	MUST(prctl(PR_SET_SECUREBITS, SECBIT_NOROOT | SECBIT_NOROOT_LOCKED) == 0);
	sets[0].effective &= ~(1u << CAP_SETPCAP);
	sets[0].permitted &= ~(1u << CAP_SETPCAP);
	MUST(syscall(SYS_capset, &self, sets) == 0);
}

static void check_rights(void)
{
	if (!has_rights)
		return;
	MUST(prctl(PR_CAPBSET_READ, CAP_SYS_BOOT) == 0 && prctl(PR_CAPBSET_READ, CAP_CHOWN) == 1);
	MUST(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, INHERITED, 0, 0) == 1);
	MUST(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_KILL, 0, 0) == 0);
	MUST(prctl(PR_GET_SECUREBITS) == (SECBIT_NOROOT | SECBIT_NOROOT_LOCKED));
	MUST(!is_able(CAP_SETPCAP, 0) && !is_able(CAP_SETPCAP, 1) && is_able(INHERITED, 2));
}

/* With an argument: epochs are rare, and one is to pass before each change. */
int main(int argc, char **argv)
{
	pthread_t other;

	(void)argv;
	MUST(pthread_barrier_init(&turn, NULL, 2) == 0);
	MUST(pthread_create(&other, NULL, be_other, NULL) == 0);
	tell_thread();
	for (int life = 1; life <= LIVES; life++) {
		check_thread();
		pthread_barrier_wait(&turn);
		if (life == 2)
			tell_process();
		if (life == 3)
			give_up();
		usleep(argc > 1 ? 1500000 : 0);
		change(life);
		die();
		check_changed(life);
		if (life >= 2)
			check_process();
		if (life >= 3)
			check_rights();
		pthread_barrier_wait(&turn);
	}
	check_thread();
	MUST(pthread_join(other, NULL) == 0);
	printf("%d failures%s%s%s%s%s%s\n", failures, has_no_bypass ? ", bypass" : "",
	       has_cpuid_fault ? ", cpuid" : "", has_policies ? ", policies" : "",
	       merges ? ", merging" : "", refuses_gain ? ", mdwe" : "", has_rights ? ", rights" : "");
	return failures != 0;
}
