/* The ends of a process that is kept (keep=process); of others, only whom they leave behind. */
#pragma once

void ends_note_status(int status); /* exit handlers are still to come */
void ends_now(int status);         /* the next instruction ends the process */
void ends_last(void);              /* the last destructor */
void left_tell(void);              /* keep=heap: does it leave a child behind? (left.c) */
