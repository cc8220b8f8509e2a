/* Threads can be held from now on: the stop signal is ours. 0 or -errno */
#pragma once

int stop_init(void);
