/* Roots: names find their pointers again; what cannot be a root is refused. */
#include "arena.h"

TestSuite(root, .init = arena_open);

static char long_name[65] = "0123456789012345678901234567890123456789012345678901234567890123";

Test(root, a_name_finds_its_pointer)
{
	void *a = heap_alloc(10), *b = heap_alloc(100000);
	cr_assert_null(heap_get_root("a"));
	cr_assert_eq(heap_set_root("a", a), 0);
	cr_assert_eq(heap_set_root("b", b), 0);
	cr_assert_eq(heap_get_root("a"), a);
	cr_assert_eq(heap_get_root("b"), b);
	cr_assert_null(heap_get_root("c"));
	arena_assert_whole();
}

Test(root, a_name_set_again_points_to_the_new_block)
{
	void *a = heap_alloc(10), *b = heap_alloc(10);
	const char *name;
	void *p;
	cr_assert_eq(heap_set_root("name", a), 0);
	cr_assert_eq(heap_set_root("name", b), 0);
	cr_assert_eq(heap_get_root("name"), b);
	cr_assert_not(heap_list_root(1, &name, &p), "there is one root only");
}

Test(root, a_removed_name_is_gone)
{
	cr_assert_eq(heap_set_root("name", NULL), -ENOENT);
	cr_assert_eq(heap_set_root("name", heap_alloc(10)), 0);
	cr_assert_eq(heap_set_root("name", NULL), 0);
	cr_assert_null(heap_get_root("name"));
	cr_assert_eq(heap_set_root("name", NULL), -ENOENT);
}

Test(root, names_have_1_to_63_bytes)
{
	void *p = heap_alloc(10);
	cr_assert_eq(heap_set_root("", p), -EINVAL);
	cr_assert_eq(heap_set_root("", NULL), -EINVAL);
	cr_assert_null(heap_get_root(""));
	cr_assert_eq(heap_set_root(long_name, p), -EINVAL);
	cr_assert_null(heap_get_root(long_name));
	long_name[63] = '\0';
	cr_assert_eq(heap_set_root(long_name, p), 0);
	cr_assert_eq(heap_get_root(long_name), p);
	arena_assert_whole();
}

Test(root, a_root_points_into_the_data)
{
	int on_stack;
	cr_assert_eq(heap_set_root("name", &on_stack), -EINVAL);
	cr_assert_eq(heap_set_root("name", arena.base), -EINVAL, "the heap's own tables");
	cr_assert_eq(heap_set_root("name", arena.base + arena.size - 1), -EINVAL, "never opened");
	cr_assert_eq(heap_set_root("name", arena.base + arena.size), -EINVAL);
	cr_assert_null(heap_get_root("name"));
	arena_assert_whole();
}

Test(root, there_is_room_for_1024)
{
	char name[16];
	char *p = heap_alloc(2048);
	for (int i = 0; i < 1024; i++) {
		snprintf(name, sizeof(name), "root %d", i);
		cr_assert_eq(heap_set_root(name, p + i), 0);
	}
	cr_assert_eq(heap_set_root("one more", p), -ENOSPC);
	cr_assert_eq(heap_set_root("root 700", p + 1), 0, "a full table changes");
	cr_assert_eq(heap_set_root("root 512", NULL), 0);
	cr_assert_eq(heap_set_root("one more", p + 5), 0);
	for (int i = 0; i < 1024; i++) {
		snprintf(name, sizeof(name), "root %d", i);
		cr_assert_eq(heap_get_root(name), i == 512 ? NULL : i == 700 ? p + 1 : p + i);
	}
	arena_assert_whole();
}

Test(root, the_list_has_every_root_once)
{
	char *p = heap_alloc(100);
	const char *name;
	void *at;
	bool is_seen[10] = {0};
	cr_assert_not(heap_list_root(0, &name, &at));
	for (int i = 0; i < 10; i++)
		cr_assert_eq(heap_set_root((char[]){(char)('a' + i), '\0'}, p + i), 0);
	cr_assert_eq(heap_set_root("d", NULL), 0);
	for (unsigned i = 0; i < 9; i++) {
		cr_assert(heap_list_root(i, &name, &at));
		cr_assert_eq(at, p + (name[0] - 'a'));
		cr_assert_not(is_seen[name[0] - 'a']);
		is_seen[name[0] - 'a'] = true;
	}
	cr_assert_not(heap_list_root(9, &name, &at));
}

Test(root, without_a_heap_there_are_none)
{
	const char *name;
	void *p;
	heap_destroy();
	cr_assert_null(heap_get_root("name"));
	cr_assert_not(heap_list_root(0, &name, &p));
	cr_assert_eq(heap_set_root("name", NULL), -ENOENT);
	cr_assert_eq(heap_set_root("name", &p), -EINVAL);
}
