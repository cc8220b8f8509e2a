/*
 * A library that comes before libc may have names of libc's as its own, variables as well: they stand
 * in for libc's for whoever asks for no version, and ours must not come in between.
 */
#include "must.h"

int own_err(void);
int own_error(int a);
const char *own_errx(void);

int main(void)
{
	MUST(own_err() == 7 && own_err() == 8);
	MUST(own_error(0) == 9 && own_error(1) == 10);
	MUST(strcmp(own_errx(), "mine") == 0);
}
