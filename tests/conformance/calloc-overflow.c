/*
 * POSIX calloc: a product that does not fit size_t is NULL and ENOMEM, not a small block.
 */
#include "must.h"

int main(void)
{
	errno = 0;
	MUST(calloc(hide_size(SIZE_MAX / 2 + 2), 2) == NULL && errno == ENOMEM);
	errno = 0;
	MUST(calloc(hide_size((size_t)1 << 32), (size_t)1 << 32) == NULL && errno == ENOMEM);
	errno = 0;
	MUST(calloc(hide_size(SIZE_MAX), hide_size(SIZE_MAX)) == NULL && errno == ENOMEM);
}
