/* Of its own, so that a mutant's objects and the driver's are linked apart. */
#include "crash.h"

int main(int argc, char **argv)
{
	return crash_main(argc, argv);
}
