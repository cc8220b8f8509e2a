/* Loaded, unloaded and loaded again by replaced.c: what it counts begins anew each time. */
int replaced_add(int add);

static int sum[65536] = {[40000] = 10}; /* pages that loading does not write */

int replaced_add(int add)
{
	if (add)
		sum[40000] += add;
	return sum[40000];
}
