/*
 * Arguments, environment and auxiliary vector lie one behind the other where a program is started:
 * Go takes the third from there. And nothing of ours is in the second.
 * expect: stdout arrived
 */
#include "must.h"

#include <elf.h>
#include <stdbool.h>
#include <string.h>

static bool is_clean(char *const *envp)
{
	for (; *envp; envp++)
		if (!strchr(*envp, '=') || strncmp(*envp, "HEAPSAKE_", 9) == 0)
			return false;
	return true;
}

int main(int argc, char **argv, char **envp)
{
	char **word = argv + argc + 1;

	while (*word)
		MUST(strncmp(*word++, "HEAPSAKE_", 9) != 0);
	const Elf64_auxv_t *vector = (const void *)(word + 1);
	while (vector->a_type != AT_NULL && vector->a_type != AT_PAGESZ)
		vector++;
	MUST(vector->a_type == AT_PAGESZ && vector->a_un.a_val == 4096);
	MUST(envp == environ && is_clean(environ));
	MUST(setenv("STACK_VECTORS", "1", 1) == 0 && is_clean(environ));
	puts("arrived");
}
