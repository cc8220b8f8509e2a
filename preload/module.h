/*
 * Modules: the program and the libraries that are loaded.
 */
#pragma once

#include <elf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "checkpoint/region-table.h"

struct module {
	struct region_name name;   /* the SONAME, else the last part of the path */
	const char *path;          /* of its file; valid as long as it is loaded */
	uintptr_t base;            /* what the loader added to its addresses */
	bool is_program;
	uint32_t build_id_len;     /* 0: it has none */
	uint8_t build_id[LAYOUT_BUILD_ID_MAX];
	const Elf64_Dyn *dynamic;
};

/* module_visit() - all of them, the program first; a visitor that returns false ends it */
typedef bool module_visitor(void *context, const struct module *module);
void module_visit(module_visitor *visit, void *context);

/* module_find() - the one that this address belongs to */
bool module_find(const void *address, struct module *ret_module);

/* ---- module-symbols.c: what the file says about [start, stop) of the module's memory ---- */

/* module_symbols_sum() - names and sizes of the variables there, by address, as the region table
 * has it; 0: stripped, or the file cannot be read */
uint64_t module_symbols_sum(const struct module *module, const void *start, const void *stop);

/* module_copied_symbol() - a variable there that the program has a copy of (R_X86_64_COPY), so that
 * everybody uses the copy; false: none */
bool module_copied_symbol(const struct module *module, const void *start, const void *stop,
			  struct region_name *ret_name);
