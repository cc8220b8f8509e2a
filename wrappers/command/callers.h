/* What those who called us have open. */
#pragma once

#include <stdint.h>

/* callers_files() - of descriptors 0 to 2 (bits), those that are regular files and that a process
 * above us has open through the same description */
uint32_t callers_files(void);
