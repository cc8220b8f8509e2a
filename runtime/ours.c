/*
 * The zone is filled upwards and begun again at its end; a place that is taken is passed over. So
 * what is given back and taken again does not come to lie among the program's own mappings, where a
 * resume would have to make room for it.
 */
#include "ours.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/mman.h>

#include "os.h"

#define GAP_BYTES UINT64_C(65536) /* between two, so that they stay two mappings */
#define TRIES 4096

_Thread_local struct ours_thread ours_self __attribute__((tls_model("initial-exec")));

static _Atomic uint64_t cursor OURS; /* 0: the zone is closed */

void ours_open_zone(void)
{
	atomic_store(&cursor, OURS_ZONE_START);
}

bool ours_zone_is_open(void)
{
	return atomic_load_explicit(&cursor, memory_order_relaxed) != 0;
}

void *ours_mmap(size_t len, int prot, int flags, int fd, uint64_t offset)
{
	const uint64_t step = ((len + OS_PAGE_BYTES - 1) & ~(uint64_t)(OS_PAGE_BYTES - 1)) + GAP_BYTES;

	for (int i = 0; i < TRIES; i++) {
		uint64_t at = atomic_fetch_add(&cursor, step);
		if (at + step > OURS_ZONE_END) {
			atomic_store(&cursor, OURS_ZONE_START);
			continue;
		}
		void *memory = os_mmap((void *)(uintptr_t)at, len, prot, flags | MAP_FIXED_NOREPLACE,
				       fd, offset);
		if (!os_is_error(memory) || (intptr_t)memory != -EEXIST)
			return memory;
	}
	return (void *)(intptr_t)-ENOMEM;
}

/* The signal that was put off comes now. */
void ours_leave_slow(void)
{
	void *const value = (void *)(uintptr_t)ours_self.put_off;

	ours_self.put_off = 0;
	os_tgsigqueue(os_gettid(), OURS_STOP_SIGNAL, value);
}
