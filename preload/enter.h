/* Entering a pool: the steps of start.c that touch it. */
#pragma once

#include "config.h"
#include "say.h"

/* What the program was started with, as the constructor was told. */
struct enter_arguments {
	int argc;
	char *const *argv;
	char *const *envp;
};
extern struct enter_arguments enter_arguments;

/* enter_read_note() - keep=process: the keeper's note says more than the environment */
int enter_read_note(struct config *config, struct refusal *ret_why);

/* enter_hand_over() - the owner is about to exec: which descriptor its successor finds the note
 * in; -errno. enter_take_back(): it did not. */
int enter_hand_over(void);
void enter_take_back(void);

/* enter_pool() - pool, window and heap, as config says; preload is filled. 0, or a status */
int enter_pool(const struct config *config, struct refusal *ret_why);
