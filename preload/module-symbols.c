/*
 * A module's variables by name, from the symbol tables in its file.
 *
 * The file is mapped for as long as it is read, and believed in nothing: every offset is compared
 * with its length before it is followed. What does not fit is as if the file had no symbols.
 */
#include "module.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "os.h"

struct file {
	const char *bytes;
	size_t len;
};

/* A table of symbols and their names. */
struct table {
	const Elf64_Sym *symbols;
	size_t count;
	const char *strings; /* ends with a zero */
	size_t string_bytes;
};

struct variable {
	Elf64_Addr address;
	Elf64_Xword size;
	const char *name;
	const char *file; /* that it is static in; "": in none, or unknown */
};

static bool file_open(const char *path, struct file *ret_file)
{
	struct stat st;
	const int fd = os_open(path, O_RDONLY | O_CLOEXEC, 0);
	void *bytes = MAP_FAILED;

	if (fd < 0)
		return false;
	if (os_fstat(fd, &st) == 0 && st.st_size > 0)
		bytes = os_mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	os_close(fd);
	*ret_file = (struct file){bytes, (size_t)st.st_size};
	return !os_is_error(bytes);
}

static void file_close(const struct file *file)
{
	os_munmap((void *)file->bytes, file->len);
}

static const void *file_part(const struct file *file, uint64_t offset, uint64_t len)
{
	return offset <= file->len && len <= file->len - offset && offset % 8 == 0 ?
		       file->bytes + offset : NULL;
}

static const Elf64_Shdr *file_sections(const struct file *file, unsigned *ret_count)
{
	const Elf64_Ehdr *header = file_part(file, 0, sizeof(*header));

	if (!header || memcmp(header->e_ident, ELFMAG, SELFMAG) != 0 ||
	    header->e_shentsize != sizeof(Elf64_Shdr))
		return NULL;
	*ret_count = header->e_shnum;
	return file_part(file, header->e_shoff, (uint64_t)header->e_shnum * sizeof(Elf64_Shdr));
}

static bool find_table(const struct file *file, uint32_t type, struct table *ret_table)
{
	unsigned count = 0;
	const Elf64_Shdr *sections = file_sections(file, &count);

	for (unsigned i = 0; sections && i < count; i++) {
		const Elf64_Shdr *section = &sections[i];
		if (section->sh_type != type || section->sh_link >= count)
			continue;
		const Elf64_Shdr *names = &sections[section->sh_link];
		*ret_table = (struct table){
			.symbols = file_part(file, section->sh_offset, section->sh_size),
			.count = section->sh_size / sizeof(Elf64_Sym),
			.string_bytes = names->sh_size,
		};
		if (names->sh_offset < file->len && names->sh_size <= file->len - names->sh_offset)
			ret_table->strings = file->bytes + names->sh_offset;
		return ret_table->symbols && ret_table->strings && names->sh_size &&
		       ret_table->strings[names->sh_size - 1] == '\0';
	}
	return false;
}

/* The variable of a symbol, if it is one and lies in [from, to) of the file's addresses. */
static bool is_variable(const struct table *table, size_t index, Elf64_Addr from, Elf64_Addr to,
			struct variable *ret_variable)
{
	const Elf64_Sym *symbol = &table->symbols[index];

	if (ELF64_ST_TYPE(symbol->st_info) != STT_OBJECT || symbol->st_shndx == SHN_UNDEF ||
	    symbol->st_size == 0 || symbol->st_name >= table->string_bytes ||
	    symbol->st_value < from || symbol->st_value >= to)
		return false;
	*ret_variable = (struct variable){
		symbol->st_value, symbol->st_size, table->strings + symbol->st_name, "",
	};
	return true;
}

/* A file's symbol stands before those that are its own; all others come after the last of them. */
static const char *file_of(const struct table *table, size_t index, const char *before)
{
	const Elf64_Sym *symbol = &table->symbols[index];

	if (ELF64_ST_BIND(symbol->st_info) != STB_LOCAL)
		return "";
	return ELF64_ST_TYPE(symbol->st_info) == STT_FILE && symbol->st_name < table->string_bytes ?
		       table->strings + symbol->st_name : before;
}

/* ---- The sum ---- */

static bool stands_before(const struct variable *one, const struct variable *other)
{
	if (one->address != other->address)
		return one->address < other->address;
	return strcmp(one->name, other->name) < 0;
}

/* Heap sort: qsort() may allocate. */
static void sift(struct variable *variables, size_t at, size_t count)
{
	for (size_t child; (child = 2 * at + 1) < count; at = child) {
		if (child + 1 < count && stands_before(&variables[child], &variables[child + 1]))
			child++;
		if (!stands_before(&variables[at], &variables[child]))
			return;
		const struct variable swap = variables[at];
		variables[at] = variables[child];
		variables[child] = swap;
	}
}

static void sort(struct variable *variables, size_t count)
{
	for (size_t i = count / 2; i-- > 0;)
		sift(variables, i, count);
	while (count > 1) {
		const struct variable last = variables[--count];
		variables[count] = variables[0];
		variables[0] = last;
		sift(variables, 0, count);
	}
}

static bool has_namesake(const struct variable *variables, size_t count, size_t index)
{
	for (size_t i = 0; i < count; i++)
		if (i != index && strcmp(variables[i].name, variables[index].name) == 0)
			return true;
	return false;
}

/* Of two files linked the other way round static variables of one name would change places. */
static uint64_t sum_variables(const struct variable *variables, size_t count)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < count; i++) {
		sum = region_symbol_sum(sum, variables[i].name, variables[i].size);
		if (has_namesake(variables, count, i))
			sum = region_symbol_sum(sum, variables[i].file, 0);
	}
	return sum;
}

static uint64_t sum_table(const struct table *table, Elf64_Addr from, Elf64_Addr to)
{
	const size_t room = table->count * sizeof(struct variable);
	struct variable *variables = os_reserve(room ? room : 1);
	const char *file = "";
	size_t count = 0;

	if (os_is_error(variables))
		return 0;
	for (size_t i = 0; i < table->count; i++) {
		file = file_of(table, i, file);
		if (!is_variable(table, i, from, to, &variables[count]))
			continue;
		variables[count++].file = file;
	}
	sort(variables, count);
	const uint64_t sum = sum_variables(variables, count);
	os_munmap(variables, room);
	return sum;
}

uint64_t module_symbols_sum(const struct module *module, const void *start, const void *stop)
{
	struct file file;
	struct table table;
	uint64_t sum = 0;

	if (!file_open(module->path, &file))
		return 0;
	if (find_table(&file, SHT_SYMTAB, &table))
		sum = sum_table(&table, (uintptr_t)start - module->base, (uintptr_t)stop - module->base);
	file_close(&file);
	return sum;
}

/* ---- Copies ---- */

/* The program's relocations, in memory. */
struct copies {
	const Elf64_Rela *relocations;
	size_t count;
	const Elf64_Sym *symbols;
	const char *strings;
};

static bool find_copies(void *context, const struct module *program)
{
	struct copies *copies = context;

	for (const Elf64_Dyn *at = program->dynamic; at && at->d_tag != DT_NULL; at++) {
		uintptr_t address = at->d_un.d_ptr;
		if (address < program->base)
			address += program->base;
		if (at->d_tag == DT_RELA)
			copies->relocations = (const Elf64_Rela *)address;
		if (at->d_tag == DT_RELASZ)
			copies->count = at->d_un.d_val / sizeof(Elf64_Rela);
		if (at->d_tag == DT_SYMTAB)
			copies->symbols = (const Elf64_Sym *)address;
		if (at->d_tag == DT_STRTAB)
			copies->strings = (const char *)address;
	}
	return false;
}

static bool is_copied(const struct copies *copies, const char *name)
{
	for (size_t i = 0; i < copies->count; i++) {
		const Elf64_Rela *relocation = &copies->relocations[i];
		const Elf64_Sym *symbol = &copies->symbols[ELF64_R_SYM(relocation->r_info)];
		if (ELF64_R_TYPE(relocation->r_info) == R_X86_64_COPY &&
		    strcmp(copies->strings + symbol->st_name, name) == 0)
			return true;
	}
	return false;
}

bool module_copied_symbol(const struct module *module, const void *start, const void *stop,
			  struct region_name *ret_name)
{
	const uintptr_t from = (uintptr_t)start - module->base;
	const uintptr_t to = (uintptr_t)stop - module->base;
	struct copies copies = {0};
	struct file file;
	struct table table;
	struct variable variable;
	bool is_found = false;

	module_visit(find_copies, &copies);
	if (!copies.relocations || !copies.symbols || !copies.strings ||
	    !file_open(module->path, &file))
		return false;
	if (find_table(&file, SHT_DYNSYM, &table))
		for (size_t i = 0; !is_found && i < table.count; i++)
			is_found = is_variable(&table, i, from, to, &variable) &&
				   is_copied(&copies, variable.name);
	if (is_found)
		*ret_name = region_name_of(variable.name);
	file_close(&file);
	return is_found;
}
