/*
 * What is to be seen of a descriptor from outside: fstat, the link in /proc/self/fd, the lines of
 * /proc/self/fdinfo; read without libc.
 */
#include <fcntl.h>
#include <string.h>

#include "descriptor.h"
#include "files-kind.h"
#include "os.h"
#include "ours.h"

bool file_text_begins(const char *text, const char *with)
{
	while (*with)
		if (*text++ != *with++)
			return false;
	return true;
}

bool file_is_called(const struct file_look *look, const char *link)
{
	return strcmp(look->link, link) == 0;
}

/* The way through /proc is most of the cost, so the committer keeps the directories open. */
static int links OURS, infos OURS;

static int directory(int *holder, const char *path)
{
	if (*holder > 0 && ours_fd_stands(holder))
		return *holder;
	const int fd = os_open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	const int moved = fd < 0 ? fd : os_fd_move(fd);
	if (moved < 0) {
		if (fd >= 0)
			os_close(fd);
		return moved;
	}
	*holder = moved;
	ours_fd_add(holder);
	return moved;
}

int file_links(void)
{
	return directory(&links, "/proc/thread-self/fd");
}

static const char *name_of(int fd, char text[16])
{
	struct line line = line_in(text, 16);

	line_add_number(&line, (uint64_t)fd, 10);
	return text;
}

size_t file_link(int fd, char link[FILE_PATH_MAX])
{
	char name[16];
	int len = os_readlinkat(file_links(), name_of(fd, name), link, FILE_PATH_MAX - 1);

	link[len < 0 ? 0 : len] = 0;
	return len < 0 ? 0 : (size_t)len;
}

bool file_look_at(int fd, struct file_look *ret_look)
{
	ret_look->fd = fd;
	return os_fstat(fd, &ret_look->st) == 0 && file_link(fd, ret_look->link) > 0;
}

/* Also where no committer is yet. */
int file_reopen(int fd, int flags)
{
	char text[40];
	struct line path = line_in(text, sizeof(text));

	line_add(&path, "/proc/thread-self/fd/");
	line_add_number(&path, (uint64_t)fd, 10);
	return os_open(text, flags | O_CLOEXEC | O_NOCTTY, 0);
}

bool file_info_open(struct file_info *info, int fd)
{
	char name[16];

	info->fd = os_openat(directory(&infos, "/proc/thread-self/fdinfo"), name_of(fd, name),
			     O_RDONLY | O_CLOEXEC);
	info->at = info->len = 0;
	return info->fd >= 0;
}

bool file_info_next(struct file_info *info)
{
	size_t len = 0;

	for (;;) {
		if (info->at == info->len) {
			const long count = os_read(info->fd, info->chunk, sizeof(info->chunk));
			if (count <= 0)
				return false;
			info->at = 0;
			info->len = (unsigned)count;
		}
		const char c = info->chunk[info->at++];
		if (c == '\n')
			break;
		if (len + 1 < sizeof(info->line))
			info->line[len++] = c;
	}
	info->line[len] = 0;
	return true;
}

void file_info_close(struct file_info *info)
{
	os_close(info->fd);
}

const char *file_info_word(const struct file_info *info, const char *word)
{
	for (const char *at = info->line; *at; at++)
		if (file_text_begins(at, word))
			return at + strlen(word);
	return NULL;
}

uint64_t file_number(const char **at, unsigned base)
{
	uint64_t value = 0;

	while (**at == ' ' || **at == '\t' || **at == '(' || **at == ',')
		++*at;
	for (;; ++*at) {
		const char c = **at;
		const unsigned digit = c >= '0' && c <= '9' ? (unsigned)(c - '0') :
				       c >= 'a' && c <= 'f' ? (unsigned)(c - 'a') + 10 :
							      base;
		if (digit >= base)
			return value;
		value = value * base + digit;
	}
}
