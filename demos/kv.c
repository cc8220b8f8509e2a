/*
 * A key-value server: acknowledged means durable.
 *
 * The table is uthash's, as it comes: it takes its memory from malloc, and that memory is the
 * pool. A change is one HSK_TX_DURABLE block; OK is said when it has been left and hsk_status()
 * agrees. Clients that wait at the same time share one epoch. The transaction stands outside, the
 * lock inside: so others go on while one waits for the disk. Another client may therefore see a
 * value that is not durable yet.
 *
 * usage: kv SOCKET      (unix). Lines: SET key value | GET key | DEL key | COUNT
 */
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "heapsake.h"

#define uthash_fatal(what) _exit(1)
#include <uthash.h>

#define LINE_BYTES 4096

struct entry {
	UT_hash_handle hh;
	char *value;
	char key[];
};

HSK_KEEP static struct entry *table;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* made anew in every run */

static struct entry *find(const char *key)
{
	struct entry *entry;

	HASH_FIND_STR(table, key, entry);
	return entry;
}

/* false: no memory, and nothing has changed */
static bool set(const char *key, const char *value)
{
	struct entry *entry = find(key);
	struct entry *added = entry ? NULL : calloc(1, sizeof(*added) + strlen(key) + 1);
	char *copy = strdup(value);

	if (!copy || !(entry || added)) {
		free(copy);
		free(added);
		return false;
	}
	if (added) {
		strcpy(added->key, key);
		HASH_ADD_STR(table, key, added);
		entry = added;
	}
	free(entry->value);
	entry->value = copy;
	return true;
}

static void delete(const char *key)
{
	struct entry *entry = find(key);

	if (!entry)
		return;
	HASH_DEL(table, entry);
	free(entry->value);
	free(entry);
}

/* NULL: remove it */
static void change(const char *key, const char *value, char *answer)
{
	bool is_done = true;

	HSK_TX_DURABLE {
		pthread_mutex_lock(&lock);
		if (value)
			is_done = set(key, value);
		else
			delete(key);
		pthread_mutex_unlock(&lock);
	}
	const int status = is_done ? hsk_status() : -ENOMEM;
	snprintf(answer, LINE_BYTES, status == 0 ? "OK\n" : "not kept: %s\n", strerror(-status));
}

static void look(const char *key, char *answer)
{
	pthread_mutex_lock(&lock);
	const struct entry *entry = find(key);
	snprintf(answer, LINE_BYTES, entry ? "=%s\n" : "none\n", entry ? entry->value : "");
	pthread_mutex_unlock(&lock);
}

static void count(char *answer)
{
	pthread_mutex_lock(&lock);
	snprintf(answer, LINE_BYTES, "%u\n", HASH_COUNT(table));
	pthread_mutex_unlock(&lock);
}

static void obey(char *line, char *answer)
{
	char *rest = line;
	const char *word = strsep(&rest, " "), *key = strsep(&rest, " ");

	if (strcmp(word, "SET") == 0 && key && rest)
		change(key, rest, answer);
	else if (strcmp(word, "DEL") == 0 && key)
		change(key, NULL, answer);
	else if (strcmp(word, "GET") == 0 && key)
		look(key, answer);
	else if (strcmp(word, "COUNT") == 0)
		count(answer);
	else
		strcpy(answer, "what?\n");
}

/* One client: its buffers are on the stack, so that nothing of it stays in the pool. */
static void *serve(void *connection)
{
	const int fd = (int)(intptr_t)connection;
	char line[LINE_BYTES], answer[LINE_BYTES];
	size_t filled = 0;

	for (ssize_t got; (got = read(fd, line + filled, sizeof(line) - filled)) > 0;) {
		filled += (size_t)got;
		for (char *end; (end = memchr(line, '\n', filled));) {
			*end = '\0';
			obey(line, answer);
			if (send(fd, answer, strlen(answer), MSG_NOSIGNAL) < 0)
				break;
			filled -= (size_t)(end + 1 - line);
			memmove(line, end + 1, filled);
		}
		if (filled == sizeof(line)) /* no line is that long */
			break;
	}
	close(fd);
	return NULL;
}

int main(int argc, char **argv)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	const int listener = socket(AF_UNIX, SOCK_STREAM, 0);
	struct stat there;

	if (argc != 2 || strlen(argv[1]) >= sizeof(address.sun_path))
		return fprintf(stderr, "usage: kv SOCKET\n"), 2;
	strcpy(address.sun_path, argv[1]);
	if (lstat(argv[1], &there) == 0 && S_ISSOCK(there.st_mode)) /* of an earlier life */
		unlink(argv[1]);
	if (bind(listener, (struct sockaddr *)&address, sizeof(address)) || listen(listener, 16))
		return perror(argv[1]), 1;
	fprintf(stderr, "kv: %u keys\n", HASH_COUNT(table));
	for (int fd; (fd = accept(listener, NULL, NULL)) >= 0;) {
		pthread_t thread;
		if (pthread_create(&thread, NULL, serve, (void *)(intptr_t)fd) == 0)
			pthread_detach(thread);
		else
			close(fd);
	}
	return perror("accept"), 1;
}
