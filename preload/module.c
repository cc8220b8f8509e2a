/*
 * Modules, as the loader shows them: name, place and build-id of everything that is loaded, from
 * its program headers in memory. Nothing here allocates.
 */
#include "module.h"

#include <errno.h>
#include <link.h>
#include <string.h>

#define VDSO_PREFIX "linux-"

/* ld.so has made absolute addresses of those in a dynamic section it may write to. */
static const void *dynamic_pointer(const struct dl_phdr_info *info, Elf64_Addr value)
{
	return (const void *)(value >= info->dlpi_addr ? value : value + info->dlpi_addr);
}

static const char *soname_of(const struct dl_phdr_info *info, const Elf64_Dyn *dynamic)
{
	const char *strings = NULL;
	Elf64_Xword offset = 0;

	for (; dynamic && dynamic->d_tag != DT_NULL; dynamic++) {
		if (dynamic->d_tag == DT_STRTAB)
			strings = dynamic_pointer(info, dynamic->d_un.d_ptr);
		if (dynamic->d_tag == DT_SONAME)
			offset = dynamic->d_un.d_val;
	}
	return strings && offset ? strings + offset : NULL;
}

static void find_build_id(const char *notes, size_t len, struct module *ret_module)
{
	size_t at = 0;

	while (len - at >= sizeof(Elf64_Nhdr)) {
		const Elf64_Nhdr *note = (const Elf64_Nhdr *)(notes + at);
		const size_t name_end = at + sizeof(*note) + ((note->n_namesz + 3u) & ~(size_t)3);
		const size_t end = name_end + ((note->n_descsz + 3u) & ~(size_t)3);
		if (end > len)
			return;
		if (note->n_type == NT_GNU_BUILD_ID && note->n_namesz == sizeof(ELF_NOTE_GNU) &&
		    memcmp(notes + at + sizeof(*note), ELF_NOTE_GNU, sizeof(ELF_NOTE_GNU)) == 0 &&
		    note->n_descsz <= LAYOUT_BUILD_ID_MAX) {
			memcpy(ret_module->build_id, notes + name_end, note->n_descsz);
			ret_module->build_id_len = note->n_descsz;
			return;
		}
		at = end;
	}
}

static struct module describe(const struct dl_phdr_info *info, bool is_program)
{
	struct module module = {.base = info->dlpi_addr, .is_program = is_program};

	for (int i = 0; i < info->dlpi_phnum; i++) {
		const Elf64_Phdr *header = &info->dlpi_phdr[i];
		const char *at = (const char *)(info->dlpi_addr + header->p_vaddr);
		if (header->p_type == PT_DYNAMIC)
			module.dynamic = (const Elf64_Dyn *)at;
		if (header->p_type == PT_NOTE && !module.build_id_len)
			find_build_id(at, header->p_memsz, &module);
	}
	const char *soname = is_program ? NULL : soname_of(info, module.dynamic);
	module.path = is_program ? "/proc/self/exe" : info->dlpi_name;
	module.name = region_name_of(is_program ? program_invocation_short_name :
				     soname ? soname : basename(info->dlpi_name));
	return module;
}

struct walk {
	module_visitor *visit;
	void *context;
	bool is_first;
	const void *address; /* NULL: all modules */
};

static bool has_address(const struct dl_phdr_info *info, const void *address)
{
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const Elf64_Phdr *header = &info->dlpi_phdr[i];
		if (header->p_type == PT_LOAD &&
		    (uintptr_t)address - (info->dlpi_addr + header->p_vaddr) < header->p_memsz)
			return true;
	}
	return false;
}

static int step(struct dl_phdr_info *info, size_t size, void *context)
{
	struct walk *walk = context;
	const bool is_program = walk->is_first;

	walk->is_first = false;
	if (!is_program && strncmp(basename(info->dlpi_name), VDSO_PREFIX, strlen(VDSO_PREFIX)) == 0)
		return 0; /* the kernel's: nobody has pointers to its code but libc */
	if (walk->address && !has_address(info, walk->address))
		return 0;
	const struct module module = describe(info, is_program);
	return walk->visit(walk->context, &module) ? 0 : 1;
}

void module_visit(module_visitor *visit, void *context)
{
	struct walk walk = {.visit = visit, .context = context, .is_first = true};

	dl_iterate_phdr(step, &walk);
}

static bool take_it(void *context, const struct module *module)
{
	*(struct module *)context = *module;
	return false;
}

bool module_find(const void *address, struct module *ret_module)
{
	struct walk walk = {
		.visit = take_it, .context = ret_module, .is_first = true, .address = address,
	};

	return dl_iterate_phdr(step, &walk) != 0;
}
