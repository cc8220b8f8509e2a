/*
 * Where the program stood when it died: module+offset lines, if libunwind is installed.
 *
 * It is loaded only now, when the process is already lost, and quietly left out when it is not
 * there. The heap is abandoned first: loading allocates, and whoever found the heap broken may
 * hold its locks. `addr2line -e MODULE OFFSET` turns a line into a source line.
 */
#include "preload.h"

#include <dlfcn.h>
#include <stdint.h>
#include <string.h>

#include "say.h"

#define DEPTH_MAX 48

static void frame_print(int index, const void *address)
{
	Dl_info info;
	if (!dladdr(address, &info) || !info.dli_fname) {
		say_line("heapsake:   #%d %p", index, address);
		return;
	}
	const uintptr_t offset = (uintptr_t)address - (uintptr_t)info.dli_fbase;
	if (info.dli_sname)
		say_line("heapsake:   #%d %s+0x%zx (%s)", index, info.dli_fname, (size_t)offset,
			 info.dli_sname);
	else
		say_line("heapsake:   #%d %s+0x%zx", index, info.dli_fname, (size_t)offset);
}

static void backtrace_print(void)
{
	void *frames[DEPTH_MAX];

	foreign_abandon_heap();
	void *library = dlopen("libunwind.so.8", RTLD_NOW | RTLD_LOCAL);
	if (!library)
		return;
	int (*unwind)(void **, int) = dlsym(library, "unw_backtrace");
	const int count = unwind ? unwind(frames, DEPTH_MAX) : 0;
	for (int i = 0; i < count; i++)
		frame_print(i, frames[i]);
}

void backtrace_init(void)
{
	say_set_backtrace(backtrace_print);
}
