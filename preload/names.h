/*
 * Names: roots of a program that runs without a pool; they last as long as it does. Results as
 * heap_set_root() and heap_get_root().
 */
#pragma once

int names_set(const char *name, void *p);
void *names_get(const char *name);
