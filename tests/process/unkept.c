/*
 * Does what no next process can be given, by name or by number, and lives on: tests/process/unkept
 * wants to be told that it is not kept any more, and why.
 *
 * usage: unkept WHAT; 77: this kernel, or this machine, has no such thing
 */
#include <asm/ldt.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/keyctl.h>
#include <linux/landlock.h>
#include <mqueue.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/rseq.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define UNDER_TEST(name) static bool name(void)
#define DISPATCH_ON 1

static char selector;
static int semaphores = -1;

UNDER_TEST(landlock)
{
	const struct landlock_ruleset_attr all = {.handled_access_fs = LANDLOCK_ACCESS_FS_MAKE_SOCK};
	const int rules = (int)syscall(SYS_landlock_create_ruleset, &all, sizeof(all), 0);

	if (rules < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		return false;
	const bool is_done = syscall(SYS_landlock_restrict_self, rules, 0) == 0;
	close(rules);
	return is_done;
}

/* As a library has it that was there before libc's (tcmalloc). */
UNDER_TEST(sequences)
{
	static char area[32] __attribute__((aligned(32)));
	const int signature = 0x53053053, unregister = 1;

	syscall(SYS_rseq, (char *)__builtin_thread_pointer() + __rseq_offset, sizeof(area), unregister,
		signature);
	return syscall(SYS_rseq, area, sizeof(area), 0, signature) == 0;
}

UNDER_TEST(namespace)
{
	return unshare(CLONE_NEWUSER) == 0;
}

UNDER_TEST(network)
{
	return syscall(SYS_unshare, CLONE_NEWNET) == 0;
}

UNDER_TEST(directories)
{
	return unshare(CLONE_FS) == 0;
}

static int end_at_once(void *unused)
{
	return 0;
}

UNDER_TEST(sharing)
{
	static char stack[65536] __attribute__((aligned(16)));

	return clone(end_at_once, stack + sizeof(stack), CLONE_VM, NULL) > 0;
}

UNDER_TEST(keyring)
{
	return syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL) >= 0;
}

UNDER_TEST(key)
{
	return syscall(SYS_add_key, "user", "a name", "x", 1, KEY_SPEC_PROCESS_KEYRING) >= 0;
}

UNDER_TEST(ports)
{
	return ioperm(0x80, 1, 1) == 0;
}

UNDER_TEST(segments)
{
	const struct user_desc desc = {.entry_number = 1, .base_addr = 0x1000, .limit = 1,
				       .seg_32bit = 1, .limit_in_pages = 1};

	return syscall(SYS_modify_ldt, 1, &desc, sizeof(desc)) == 0;
}

UNDER_TEST(dispatch)
{
	return prctl(PR_SET_SYSCALL_USER_DISPATCH, DISPATCH_ON, 0, 0, &selector) == 0;
}

UNDER_TEST(directory)
{
	char name[] = "/tmp/unkept-XXXXXX";
	const int fd = mkdtemp(name) ? open(name, O_RDONLY | O_DIRECTORY) : -1;

	rmdir(name);

	return fd >= 0 && fcntl(fd, F_NOTIFY, DN_CREATE | DN_MULTISHOT) == 0;
}

UNDER_TEST(queue)
{
	char name[32];

	snprintf(name, sizeof(name), "/unkept-%d", getpid());
	const mqd_t queue = mq_open(name, O_RDWR | O_CREAT, 0600, NULL);
	mq_unlink(name);
	return queue >= 0;
}

UNDER_TEST(undo)
{
	struct sembuf give = {0, 2, 0}, take = {0, -1, SEM_UNDO}, back = {0, 1, SEM_UNDO};

	semaphores = semget(IPC_PRIVATE, 1, 0600);
	return semaphores >= 0 && semop(semaphores, &give, 1) == 0 && semop(semaphores, &take, 1) == 0 &&
	       semop(semaphores, &back, 1) == 0 && semop(semaphores, &take, 1) == 0;
}

UNDER_TEST(secret)
{
	const int fd = (int)syscall(SYS_memfd_secret, 0);

	return fd >= 0 && ftruncate(fd, 4096) == 0;
}

UNDER_TEST(device)
{
	const int fd = open("/dev/mem", O_RDONLY);
	const bool is_done = fd >= 0 && mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0) != MAP_FAILED;

	close(fd);
	return is_done;
}

UNDER_TEST(aio)
{
	unsigned long context = 0;

	return syscall(SYS_io_setup, 4, &context) == 0;
}

UNDER_TEST(filter)
{
	struct sock_filter all[] = {BPF_STMT(BPF_RET | BPF_K, 0xffff)};
	const struct sock_fprog program = {1, all};
	const int fd = socket(AF_INET, SOCK_DGRAM, 0);

	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) == 0;
}

UNDER_TEST(root)
{
	return chroot("/usr") == 0;
}

UNDER_TEST(protected)
{
	const int key = pkey_alloc(0, 0);
	char *at = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return key > 0 && pkey_mprotect(at, 4096, PROT_READ, key) == 0;
}

UNDER_TEST(huge)
{
	char *at = mmap(NULL, 2 << 20, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);

	return at != MAP_FAILED;
}

static const struct {
	const char *name;
	bool (*act)(void);
} acts[] = {
	{"landlock", landlock}, {"namespace", namespace}, {"network", network},
	{"directories", directories}, {"keyring", keyring}, {"key", key}, {"ports", ports},
	{"segments", segments}, {"sequences", sequences}, {"dispatch", dispatch}, {"directory", directory}, {"queue", queue},
	{"undo", undo}, {"aio", aio}, {"filter", filter}, {"root", root}, {"protected", protected},
	{"secret", secret}, {"device", device}, {"huge", huge}, {"sharing", sharing},
};

int main(int argc, char **argv)
{
	char line[16];

	for (unsigned i = 0; argc == 2 && i < sizeof(acts) / sizeof(*acts); i++) {
		if (strcmp(acts[i].name, argv[1]) != 0)
			continue;
		if (!acts[i].act())
			return printf("%s: %s\n", argv[1], strerror(errno)), 77;
		puts("done");
		fflush(stdout);
		const int status = fgets(line, sizeof(line), stdin) ? 0 : 1;
		semctl(semaphores, 0, IPC_RMID);
		return status;
	}
	return 2;
}
