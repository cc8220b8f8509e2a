/*
 * Entering a pool that keeps the whole process: a new one begins like any other program, but for
 * what it was launched with being kept, too; one that is there comes back in place of the program
 * that has just been loaded, and this never returns.
 */
#include "engine-parts.h"

#include <errno.h>
#include <string.h>
#include <sys/personality.h>

#include "enter.h"
#include "os.h"
#include "ours.h"
#include "process/keeper.h"
#include "process/process.h"

struct enter_arguments enter_arguments OURS;

static struct {
	struct keeper_note note;
	int note_fd;
} self OURS;

/* What of ours is open is not the program's, whatever its number. */
static void claim_descriptors(void)
{
	ours_fd_add(&self.note_fd);
	ours_fd_add(&preload.pool.fd);
	ours_fd_add(&engine.medium.file.log_fd);
	ours_fd_add((int *)&engine.track->uffd.number);
	ours_fd_add((int *)&engine.track->pagemap.number);
	ours_fd_add((int *)&engine.track->clear.number);
}

/* What the caller of this life wants; the environment is that of the first one. */
int enter_read_note(struct config *config, struct refusal *ret_why)
{
	const struct keeper_note *note = &self.note;

	if (!keeper_read_note(config->keeper_fd, &self.note))
		return refuse(ret_why, STATUS_USAGE, "HEAPSAKE_KEEPER",
			      "descriptor %d is no keeper's note; unset it, and start the program with "
			      "'heapsake run'", config->keeper_fd);
	memcpy(config->pool_path, note->pool, sizeof(config->pool_path));
	self.note_fd = config->keeper_fd;
	config->is_new = note->is_new;
	config->is_quiet = note->is_quiet;
	config->durability = note->durability;
	config->interval_ns = note->interval_ns;
	config->has_epoch = note->epoch != 0;
	config->epoch = note->epoch;
	if (note->mode != KEEPER_EXEC) /* a shell has put there what it liked, for this program */
		keeper_note_given(&self.note);
	pool_name_owner(note->keeper_pid, note->keeper_ticks);
	return 0;
}

int enter_hand_over(void)
{
	const int error = keeper_hand_note(&self.note_fd, &self.note);

	if (!error)
		ours_fd_add(&self.note_fd);
	return error ? error : self.note_fd;
}

void enter_take_back(void)
{
	keeper_take_note(self.note_fd, &self.note);
}

static int open_process(struct refusal *ret_why)
{
	const struct enter_arguments *arguments = &enter_arguments;
	const int error = process_open(&(struct process_plan){
		.track = engine.track,
		.window = &preload.window,
		.control = preload.pool.control,
		.checkpoint = engine.checkpoint,
		.pool = preload.pool.path,
		.note = &self.note,
		.note_fd = &self.note_fd,
	}, arguments->argc, arguments->argv, arguments->envp);

	if (error == -E2BIG)
		return refuse(ret_why, STATUS_INCOMPATIBLE, preload.pool.path,
			      "arguments and environment are longer than 1 MiB, which is all that is "
			      "kept of them; shorten them, or use -k none");
	return error ? engine_refuse_error(STATUS_FAILED, "the process cannot be followed", error,
					   ret_why) : 0;
}

static int open_committer(const struct config *config, struct refusal *ret_why)
{
	claim_descriptors();
	return engine_start_committer(config, &process_memory, ret_why);
}

/* Who started it may have changed what the keeper set (setarch does). */
static int check_addresses(struct refusal *ret_why)
{
	const int persona = personality(0xffffffff);

	if (persona < 0 || persona & ADDR_NO_RANDOMIZE)
		return 0;
	return refuse(ret_why, STATUS_INCOMPATIBLE, preload.pool.path,
		      "its program was started with address randomisation, and would lie elsewhere in its next "
		      "life; start it with 'setarch -R'");
}

static int begin(const struct config *config, struct refusal *ret_why)
{
	int status = check_addresses(ret_why);

	if (!status)
		status = enter_start_empty(ret_why);
	if (!status)
		status = engine_attach(ret_why);
	if (!status)
		status = open_process(ret_why);
	return status ? status : open_committer(config, ret_why);
}

/* Nobody else's thread is there yet. */
static int start_again(void)
{
	preload.resumed_epoch = committer_epoch();
	process_say_resumed(preload.resumed_epoch, &preload.pool.ending);
	return committer_start();
}

static int come_back(const struct config *config, struct refusal *ret_why)
{
	int status = process_check(ret_why);

	if (status)
		return status;
	const int error = process_show_heap();
	if (error)
		return engine_refuse_error(error == -ENOSPC ? STATUS_NO_SPACE : STATUS_INCOMPATIBLE,
					   "cannot be mapped", error, ret_why);
	status = engine_overlay(ret_why);
	if (!status)
		status = engine_attach(ret_why);
	if (!status)
		status = open_committer(config, ret_why);
	preload.is_resumed = true;
	if (!status)
		process_resume(start_again);
	return status;
}

int enter_process(const struct config *config, struct refusal *ret_why)
{
	enum process_found found = PROCESS_NONE;
	int status = engine_open_epoch(config, ret_why);

	if (!status)
		status = enter_open_window(WINDOW_PRIVATE, ret_why);
	if (!status)
		status = process_load(engine.checkpoint, preload.pool.path, &found, ret_why);
	if (status)
		return status;
	if (found != PROCESS_RUNNING || self.note.mode == KEEPER_EXEC) {
		if (self.note.has_lent_right)
			keeper_return_right();
		return begin(config, ret_why);
	}
	status = open_process(ret_why);
	return status ? status : come_back(config, ret_why);
}
