/* A process on its way to become an older one: room-private. */
#pragma once

#include "mappings.h"

/* The image's mappings, and the process's own before the first of them is taken away. */
struct resuming {
	struct mappings image;
	struct mappings now;
};
extern struct resuming resuming;
