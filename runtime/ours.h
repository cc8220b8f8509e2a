/*
 * Ours: what in a process that is kept whole belongs to us, not to the image (runtime/process).
 *
 *   OURS            a variable that stays the new process's at a resume: pools, engine, locks
 *   the zone        addresses of our own anonymous memory, far from any program's, never kept
 *   sections        a program's thread works on what is ours: the stop signal waits
 *
 * Without keep=process all of this costs next to nothing and means nothing.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define OURS __attribute__((section("ours")))
/* all of them, byte-exact: the linker knows where a section begins and ends */
extern char __start_ours[] __attribute__((visibility("hidden")));
extern char __stop_ours[] __attribute__((visibility("hidden")));

#define OURS_ZONE_START UINT64_C(0x180000000000)
#define OURS_ZONE_END UINT64_C(0x1f0000000000)
/* From here on os_mmap(NULL, ...) gives addresses of the zone. */
void ours_open_zone(void);
bool ours_zone_is_open(void);
void *ours_mmap(size_t len, int prot, int flags, int fd, uint64_t offset);
bool ours_zone_holds(const void *start); /* what is unmapped there goes by ours_munmap() */
int ours_munmap(void *start, size_t len);
static inline bool ours_has(uint64_t address)
{
	return address >= OURS_ZONE_START && address < OURS_ZONE_END;
}

/* Do these bytes hold variables of ours? If so, they are zeros in the copy. */
static inline bool ours_touches(const char *start, size_t len)
{
	return start < __stop_ours && start + len > __start_ours;
}
static inline void ours_blot(const char *start, char *copy, size_t len)
{
	const char *from = start > __start_ours ? start : __start_ours;
	const char *to = start + len < __stop_ours ? start + len : __stop_ours;

	if (from < to)
		__builtin_memset(copy + (from - start), 0, (size_t)(to - from));
}

/* Descriptors of ours: neither described nor closed, and moved when the image has one of that
 * number. `holder` is what holds the number (-1: none just now), itself OURS or in the zone; it is
 * noted once, however often it is added, and which file it is anew each time (a program that closes
 * all descriptors closes ours, and may get the number for a file of its own). */
void ours_fd_add(int *holder);
/* ours_fd_renew() - the holder has another file now; nothing if it was never noted */
void ours_fd_renew(int *holder);
bool ours_fd_has(int fd);
/* ours_fd_stands() - the holder's number still is its file, and no other's of ours */
bool ours_fd_stands(const int *holder);
/* ours_fd_clear() - this number is free of ours: moved to `lowest` or above. 0 or -errno */
int ours_fd_clear(int fd, int lowest);
/* ours_forget() - in a forked child: none of ours stays open, and the calling thread is in no
 * section */
void ours_forget(void);

/* A section of ours: the calling thread (one of the program's) cannot be stopped until it leaves.
 * Nests. Short: no waiting for an epoch in it. */
struct ours_thread {
	uint32_t depth;
	uint32_t noted;    /* process/threads.c: the record that holds what rarely changes of it */
	uintptr_t put_off; /* the stop signal's value that came meanwhile; 0: none */
	/* Counted, so that a call that was interrupted can tell by whom (preload/undisturbed.h): */
	uint32_t stops;    /* stop signals that came to it */
	uint32_t handlers; /* handlers of the program's that ran on it */
	uintptr_t stopped_at; /* the instruction the last stop signal will return to */
};
#define OURS_STOP_SIGNAL 33
extern _Thread_local struct ours_thread ours_self __attribute__((tls_model("initial-exec")));
void ours_leave_slow(void);
static inline void ours_enter(void)
{
	ours_self.depth++;
	__asm__ volatile("" ::: "memory");
}
static inline void ours_leave(void)
{
	__asm__ volatile("" ::: "memory");
	if (--ours_self.depth == 0 && __builtin_expect(ours_self.put_off != 0, 0))
		ours_leave_slow();
}
