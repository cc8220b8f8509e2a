/* What `heapsake doctor` says of what a resumed process finds again, tried as the keeper does. */
#include "doctor.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "life.h"

#define SECOND_NS INT64_C(1000000000)

struct trial {
	int error; /* of the namespaces: 0 or -errno */
	int clock_error;
	char what[64];
};

static void try_inside(const struct life *life, int flags, int result_fd)
{
	struct trial trial = {0};
	const char *what = "";

	trial.error = namespaces_enter(life, flags, &what);
	if (!trial.error) {
		trial.error = namespaces_try_number();
		what = "clone3";
	}
	snprintf(trial.what, sizeof(trial.what), "%s", what);
	trial.clock_error = namespaces_put_clocks_forward(life);
	if (write(result_fd, &trial, sizeof(trial)) < 0)
		_exit(1);
	_exit(0);
}

static void try_flags(int flags, struct trial *ret_trial)
{
	const struct life life = {
		.uid = geteuid(),
		.gid = getegid(),
		.monotonic_ahead_ns = SECOND_NS,
		.boottime_ahead_ns = SECOND_NS,
	};
	int ends[2];

	*ret_trial = (struct trial){.error = -EPIPE, .clock_error = -EPIPE, .what = "clone"};
	if (pipe(ends) < 0)
		return;
	const pid_t child = namespaces_fork(flags);
	if (child == 0)
		try_inside(&life, flags, ends[1]);
	if (child < 0)
		ret_trial->error = ret_trial->clock_error = -errno;
	close(ends[1]);
	if (child > 0 && read(ends[0], ret_trial, sizeof(*ret_trial)) != sizeof(*ret_trial))
		ret_trial->error = -EPIPE;
	close(ends[0]);
	if (child > 0)
		waitpid(child, NULL, 0);
}

void doctor_look_at_namespaces(struct doctor *doctor)
{
	int flags[NAMESPACES_MAX];
	const unsigned count = namespaces_flags(flags);
	struct trial trial = {.error = -EPERM};
	unsigned tried = 0;

	while (trial.error && tried < count)
		try_flags(flags[tried++], &trial);
	if (!trial.error)
		doctor_tell(doctor, VERDICT_OK, "pids", NULL,
			    "processes come back with their own: a pid namespace can be had%s",
			    flags[tried - 1] & CLONE_NEWUSER ? ", in a user namespace" : "");
	else
		doctor_tell(doctor, VERDICT_WARN, "pids", strcmp(trial.what, "clone3") == 0 ?
			    "allow clone3(2) here" : "allow user namespaces here",
			    "processes may come back with others (%s: %s): mutexes that know their owner "
			    "fail then", trial.what, namespaces_error(-trial.error));
	if (!trial.clock_error)
		doctor_tell(doctor, VERDICT_OK, "clocks", NULL,
			    "monotonic ones go on where they were after a reboot: a time namespace can be had");
	else
		doctor_tell(doctor, VERDICT_WARN, "clocks", "allow user namespaces here",
			    "monotonic ones start again after a reboot (time namespace: %s)",
			    namespaces_error(-trial.clock_error));
}
