/* Entering a pool: the steps of start.c that touch it. */
#pragma once

#include "config.h"
#include "say.h"

/* enter_pool() - pool, window and heap, as config says; preload is filled. 0, or a status */
int enter_pool(const struct config *config, struct refusal *ret_why);
