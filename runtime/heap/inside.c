/* Was the calling thread interrupted inside the allocator? See inside.h. */
#include "inside.h"

#include "heap.h"

_Thread_local volatile uint32_t inside_depth __attribute__((tls_model("initial-exec")));

/* The linker's, of the section's two ends. */
extern const char __start_heap_text[] __attribute__((visibility("hidden")));
extern const char __stop_heap_text[] __attribute__((visibility("hidden")));

bool heap_is_interrupted(uintptr_t pc)
{
	return inside_depth != 0 || pc - (uintptr_t)__start_heap_text <
					    (uintptr_t)__stop_heap_text - (uintptr_t)__start_heap_text;
}
