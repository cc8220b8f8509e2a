/*
 * DESIGN 1.3: return, break, continue and goto leave the block and commit it; blocks nest, and the
 * outermost counts. Inside of one, hsk_checkpoint() is -EDEADLK.
 *
 * with: HEAPSAKE_INTERVAL=0
 * run: leave => signal SIGKILL
 * run: look
 * inert: leave
 */
#include "step.h"

HSK_KEEP static int returned, broken, continued, gone, nested, around;

static int is_inside(void)
{
	return hsk_add(&around, 1) != -EINVAL;
}

static int leave_by_return(void)
{
	HSK_TX {
		returned = 1;
		return 4;
	}
	return 0;
}

static void leave_all_ways(void)
{
	MUST(!is_inside());
	MUST(leave_by_return() == 4 && !is_inside());
	for (int i = 0; i < 3; i++) {
		HSK_TX {
			broken++;
			break;
		}
		MUST(!is_inside());
	}
	for (int i = 0; i < 3; i++)
		HSK_TX {
			continued++;
			if (continued)
				continue;
			continued = 100;
		}
	MUST(!is_inside());
	HSK_TX {
		gone = 1;
		goto out;
	}
out:
	MUST(!is_inside());
	HSK_TX {
		HSK_TX { nested++; }
		MUST(is_inside());
		HSK_TX HSK_TX { nested++; }
		MUST(is_inside());
		const int error = hsk_checkpoint(0);
		MUST(error == -EDEADLK || error == -ENODEV);
	}
	MUST(!is_inside());
}

static void look(void)
{
	MUST(returned == 1 && broken == 3 && continued == 3 && gone == 1 && nested == 2);
}

int main(int argc, char **argv)
{
	step_begin(argc, argv);
	if (step_is("leave"))
		leave_all_ways();
	look();
	if (step_is("leave") && hsk_checkpoint(-1) == 0)
		step_kill();
	return 0;
}
