/*
 * What is to be seen of a descriptor from outside: fstat, the link in /proc/self/fd, the lines of
 * /proc/self/fdinfo; read without libc.
 */
#include <fcntl.h>
#include <string.h>

#include "descriptor.h"
#include "files-kind.h"
#include "os.h"

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

static struct line path_of(char *text, size_t size, const char *directory, int fd)
{
	struct line path = line_in(text, size);

	line_add(&path, directory);
	line_add_number(&path, (uint64_t)fd, 10);
	return path;
}

size_t file_link(int fd, char link[FILE_PATH_MAX])
{
	char path[40];

	path_of(path, sizeof(path), "/proc/thread-self/fd/", fd);
	int len = os_readlinkat(AT_FDCWD, path, link, FILE_PATH_MAX - 1);
	link[len < 0 ? 0 : len] = 0;
	return len < 0 ? 0 : (size_t)len;
}

bool file_look_at(int fd, struct file_look *ret_look)
{
	ret_look->fd = fd;
	return os_fstat(fd, &ret_look->st) == 0 && file_link(fd, ret_look->link) > 0;
}

int file_reopen(int fd, int flags)
{
	char path[40];

	path_of(path, sizeof(path), "/proc/thread-self/fd/", fd);
	return os_open(path, flags | O_CLOEXEC | O_NOCTTY, 0);
}

bool file_info_open(struct file_info *info, int fd)
{
	char path[44];

	path_of(path, sizeof(path), "/proc/thread-self/fdinfo/", fd);
	info->fd = os_open(path, O_RDONLY | O_CLOEXEC, 0);
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
