/* A pointer that is no live block dies with one line that says what it is. */
#include "arena.h"

#include <stdarg.h>

TestSuite(invalid_pointer, .init = arena_open);

static void call_free(void *p)
{
	heap_free(p);
}

static void call_realloc(void *p)
{
	heap_realloc(p, 10);
}

static void call_usable_size(void *p)
{
	heap_usable_size(p);
}

static const struct {
	const char *name;
	void (*call)(void *p);
} calls[] = {
	{"free()", call_free},
	{"realloc()", call_realloc},
	{"malloc_usable_size()", call_usable_size},
};

/* Every call aborts with exactly this line. */
static void assert_dies(void *p, const char *format, ...)
{
	char fact[300], expected[400], text[4096];
	va_list args;
	va_start(args, format);
	vsnprintf(fact, sizeof(fact), format, args);
	va_end(args);
	for (size_t i = 0; i < 3; i++) {
		snprintf(expected, sizeof(expected), "heapsake: %s: %p: %s\n", calls[i].name, p, fact);
		const int status = arena_in_child(calls[i].call, p, text, sizeof(text));
		cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT, "status 0x%x, %s", status,
			  text);
		cr_assert_str_eq(text, expected);
	}
	arena_assert_whole();
}

#define FREED \
	"the block of %u bytes is not allocated (freed twice?); run the program under valgrind " \
	"to find who freed it"
#define INTERIOR "points %u bytes into a block of %u; pass the pointer malloc gave"
#define NO_BLOCK "no block begins here (freed twice?); pass the pointer malloc gave"

Test(invalid_pointer, a_block_freed_twice_while_cached)
{
	void *p = heap_alloc(100);
	heap_free(p);
	assert_dies(p, FREED, 112);
}

Test(invalid_pointer, a_block_freed_twice_when_its_slab_has_it)
{
	void *p = heap_alloc(100), *keep = heap_alloc(100);
	heap_free(p);
	heap_trim();
	assert_dies(p, FREED, 112);
	heap_free(keep);
}

Test(invalid_pointer, a_block_freed_twice_when_its_slab_is_given_back)
{
	void *p = heap_alloc(100);
	heap_free(p);
	heap_trim();
	assert_dies(p, NO_BLOCK);
}

Test(invalid_pointer, a_large_block_freed_twice)
{
	void *p = heap_alloc(100000), *fence = heap_alloc(100000);
	heap_free(p);
	assert_dies(p, NO_BLOCK);
	heap_trim();
	assert_dies(p, NO_BLOCK);
	heap_free(fence);
	assert_dies(fence, NO_BLOCK);
}

Test(invalid_pointer, a_slot_never_given_out)
{
	char *p = heap_alloc(100);
	assert_dies(p + 112, FREED, 112);
	assert_dies(p + 100 * 112, FREED, 112);
}

Test(invalid_pointer, the_inside_of_a_block)
{
	char *p = heap_alloc(100);
	for (unsigned i = 1; i < 112; i += 37)
		assert_dies(p + i, INTERIOR, i, 112);
	char *second = heap_alloc(100);
	assert_dies(second + 16, INTERIOR, 16, 112);
	p = heap_alloc(30000);
	assert_dies(p + 4096, INTERIOR, 4096, 30720);
}

Test(invalid_pointer, the_inside_of_a_large_block)
{
	char *p = heap_alloc(100000);
	assert_dies(p + 16, NO_BLOCK);
	assert_dies(p + 4096, NO_BLOCK);
	assert_dies(p + 24 * 4096, NO_BLOCK);
	assert_dies(p + 24 * 4096 + 1, NO_BLOCK);
}

Test(invalid_pointer, the_rest_of_a_slab_behind_its_last_slot)
{
	for (unsigned class = 1; class < HEAP_CLASSES; class++) {
		const struct layout_class *geometry = &state.header->classes[class];
		const uint32_t slots = geometry->slot_count * geometry->slot_bytes;
		const uint32_t rest = (uint32_t)(geometry->page_count * HEAP_PAGE_BYTES) - slots;
		if (rest == 0)
			continue;
		char *p = heap_alloc(geometry->slot_bytes);
		assert_dies(p + slots, NO_BLOCK);
		assert_dies(p + slots + rest - 1, NO_BLOCK);
		if (class > 30)
			break;
	}
}

Test(invalid_pointer, the_heaps_own_tables)
{
	heap_free(heap_alloc(100));
	assert_dies(arena.base, NO_BLOCK);
	assert_dies(state.roots, NO_BLOCK);
	assert_dies(state.pagemap, NO_BLOCK);
	assert_dies(&state.spans[1], NO_BLOCK);
	for (uint32_t id = 1; id < state.header->span_top; id++)
		if (state.spans[id].kind == SPAN_META) {
			assert_dies(state.spans[id].start, NO_BLOCK);
			assert_dies(state.spans[id].start + 64, NO_BLOCK);
			assert_dies(state.spans[id].start + 5000, NO_BLOCK);
		}
}

Test(invalid_pointer, memory_opened_but_never_used)
{
	heap_free(heap_alloc(100));
	assert_dies(arena.base + state.header->data_end - 4096, NO_BLOCK);
	assert_dies(arena.base + state.header->data_end - 8192 + 16, NO_BLOCK);
}

/* Where its tables are not open the heap must not look, and says that this is none of its own:
 * the caller of heap_free() deals with foreign pointers. */
Test(invalid_pointer, memory_the_heap_has_not_reached_is_not_the_heaps)
{
	heap_free(heap_alloc(100));
	cr_assert_not(heap_has(arena.base + arena.size - 16));
	cr_assert_not(heap_has(arena.base + arena.size));
	cr_assert_not(heap_has(arena.base - 1));
	assert_dies(heap_range.base + heap_range.size - 16, NO_BLOCK);
	char *p = heap_alloc(400 * MIB);
	cr_assert(heap_has(p) && heap_has(p + 400 * MIB - 1), "it reaches further now");
	assert_dies(heap_range.base + heap_range.size - 16, NO_BLOCK);
}
