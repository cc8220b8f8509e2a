/* Is what was registered called after each resume, once each, and by then in another life? And is
 * the program told that it is a process that is kept, and from which epoch it goes on? */
#include <stdio.h>
#include <unistd.h>

#include "heapsake.h"

static volatile int calls;

static void called(void *argument)
{
	calls += argument == &calls;
}

int main(void)
{
	struct hsk_info info = {.size = sizeof(info)};

	if (hsk_info(&info) != 0 || info.keep != HSK_KEEP_PROCESS)
		return 1;
	if (hsk_on_resume(called, (void *)&calls) != 0 || hsk_on_resume(NULL, NULL) == 0)
		return 1;
	printf("ready %d\n", hsk_resumed());
	fflush(stdout);
	for (int told = 0; told < 2;) {
		usleep(10000);
		if (calls == told)
			continue;
		told = calls;
		if (hsk_info(&info) != 0 || info.resumed_epoch == 0 || info.resumed_epoch > info.epoch)
			return 1;
		printf("calls %d resumed %d\n", told, hsk_resumed());
		fflush(stdout);
	}
	usleep(200000); /* too many would come now */
	return calls != 2;
}
