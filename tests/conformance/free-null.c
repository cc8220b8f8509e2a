/*
 * C11 7.22.3.3: free(NULL) does nothing; cfree, gone from glibc's headers, is free.
 */
#include <dlfcn.h>

#include "must.h"

int main(void)
{
	void (*old_free)(void *) = dlsym(RTLD_DEFAULT, "cfree");
	errno = 3;
	free(hide(NULL));
	if (old_free) {
		old_free(NULL);
		old_free(malloc(10));
	}
	MUST(errno == 3);
}
