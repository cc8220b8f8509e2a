/*
 * The zone is reserved as a whole, so that no mapping of the program's comes to lie in it (some ask
 * for random places), and filled upwards; an address is given once. So there is nothing to find,
 * and nothing to lock: whoever maps may be stopped at any instruction.
 */
#include "ours.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <sys/mman.h>

#include "check.h"
#include "os.h"

#define GAP_BYTES UINT64_C(65536) /* between two, so that they stay two mappings */
#define TRIES 4096
#define RESERVED (MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED)

_Thread_local struct ours_thread ours_self __attribute__((tls_model("initial-exec")));

static _Atomic uint64_t cursor OURS; /* 0: the zone is closed */
static bool is_reserved OURS;        /* not where address space is rationed */

static void *at(uint64_t address)
{
	return (void *)(uintptr_t)address;
}

void ours_open_zone(void)
{
	const void *reserved = os_mmap(at(OURS_ZONE_START), OURS_ZONE_END - OURS_ZONE_START, PROT_NONE,
				       (RESERVED & ~MAP_FIXED) | MAP_FIXED_NOREPLACE, -1, 0);

	is_reserved = !os_is_error(reserved);
	atomic_store(&cursor, OURS_ZONE_START);
}

bool ours_zone_is_open(void)
{
	return atomic_load_explicit(&cursor, memory_order_relaxed) != 0;
}

/* What is mapped over the reservation takes it away first, and may fail then: a file that refuses
 * flags leaves a hole as large as itself, and what a program maps there would not be kept. */
static void reserve_again(uint64_t place, uint64_t len)
{
	if (is_reserved)
		os_mmap(at(place), len, PROT_NONE, (RESERVED & ~MAP_FIXED) | MAP_FIXED_NOREPLACE, -1, 0);
}

void *ours_mmap(size_t len, int prot, int flags, int fd, uint64_t offset)
{
	const uint64_t step = ((len + OS_PAGE_BYTES - 1) & ~(uint64_t)(OS_PAGE_BYTES - 1)) + GAP_BYTES;
	const int fixed = is_reserved ? MAP_FIXED : MAP_FIXED_NOREPLACE;

	for (int i = 0; i < TRIES; i++) {
		const uint64_t place = atomic_fetch_add(&cursor, step);
		if (place + step > OURS_ZONE_END)
			break;
		void *memory = os_mmap(at(place), len, prot, flags | fixed, fd, offset);
		if (!os_is_error(memory))
			return memory;
		reserve_again(place, step - GAP_BYTES);
		if ((intptr_t)memory != -EEXIST)
			return memory;
	}
	return (void *)(intptr_t)-ENOMEM;
}

int ours_munmap(void *start, size_t len)
{
	const void *reserved = os_mmap(start, len, PROT_NONE, RESERVED, -1, 0);

	return os_is_error(reserved) ? (int)(intptr_t)reserved : 0;
}

bool ours_zone_holds(const void *start)
{
	return is_reserved && ours_has((uintptr_t)start);
}

#define FD_MAX 64

/* A slot is taken by the holder's address, and given back by NULL. */
static struct ours_fd {
	int *_Atomic holder;
	uint64_t dev, ino;
} fds[FD_MAX] OURS;

static struct ours_fd *slot_of(const int *holder)
{
	for (int i = 0; i < FD_MAX; i++)
		if (atomic_load(&fds[i].holder) == holder)
			return &fds[i];
	return NULL;
}

static void note_file(struct ours_fd *slot, int fd)
{
	struct stat st = {0};

	if (fd >= 0)
		os_fstat(fd, &st);
	slot->dev = st.st_dev;
	slot->ino = st.st_ino;
}

void ours_fd_add(int *holder)
{
	struct ours_fd *slot = slot_of(holder);

	for (int i = 0; i < FD_MAX && !slot; i++) {
		int *none = NULL;
		if (atomic_compare_exchange_strong(&fds[i].holder, &none, holder))
			slot = &fds[i];
	}
	CHECK(slot);
	note_file(slot, *holder);
}

void ours_fd_renew(int *holder)
{
	struct ours_fd *slot = slot_of(holder);

	if (slot)
		note_file(slot, *holder);
}

/* Is it still the file it was? One that came after it was added is believed once. */
static bool is_the_file(struct ours_fd *slot, int fd)
{
	struct stat st;

	if (os_fstat(fd, &st) < 0)
		return false;
	if (!slot->ino) {
		slot->dev = st.st_dev;
		slot->ino = st.st_ino;
	}
	return st.st_dev == slot->dev && st.st_ino == slot->ino;
}

static struct ours_fd *slot_of_number(int fd)
{
	for (int i = 0; i < FD_MAX; i++) {
		const int *holder = atomic_load(&fds[i].holder);
		if (holder && *holder == fd && is_the_file(&fds[i], fd))
			return &fds[i];
	}
	return NULL;
}

bool ours_fd_has(int fd)
{
	return slot_of_number(fd) != NULL;
}

bool ours_fd_stands(const int *holder)
{
	struct ours_fd *slot = slot_of(holder);

	return slot && *holder >= 0 && is_the_file(slot, *holder);
}

int ours_fd_clear(int fd, int lowest)
{
	const struct ours_fd *slot;

	while ((slot = slot_of_number(fd))) {
		int moved = os_fcntl(fd, F_DUPFD_CLOEXEC, (void *)(intptr_t)lowest);
		if (moved < 0)
			return moved;
		os_close(fd);
		*slot->holder = moved;
	}
	return 0;
}

void ours_forget(void)
{
	for (int i = 0; i < FD_MAX; i++) {
		int *holder = atomic_exchange(&fds[i].holder, NULL);
		if (!holder || *holder < 0)
			continue;
		if (is_the_file(&fds[i], *holder))
			os_close(*holder);
		*holder = -1;
	}
	ours_self.depth = 0;
	ours_self.put_off = 0;
}

/* The signal that was put off comes now. */
void ours_leave_slow(void)
{
	void *const value = (void *)(uintptr_t)ours_self.put_off;

	ours_self.put_off = 0;
	os_tgsigqueue(os_gettid(), OURS_STOP_SIGNAL, value);
}
