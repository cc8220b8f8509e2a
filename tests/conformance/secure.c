/* Linked with libheapsake.so: tells whether the kernel calls it setuid, whether the library is
 * there, and where its heap is. Run by secure.py. */
#include <link.h>
#include <sys/auxv.h>

#include "must.h"

static int find_library(struct dl_phdr_info *info, size_t size, void *context)
{
	(void)size;
	if (strstr(info->dlpi_name, "/libheapsake.so"))
		*(bool *)context = true;
	return 0;
}

int main(void)
{
	bool is_loaded = false;
	void *p = malloc(100);
	dl_iterate_phdr(find_library, &is_loaded);
	printf("secure %lu, library %d, pool %d\n", getauxval(AT_SECURE), is_loaded, is_in_pool(p));
	free(p);
}
