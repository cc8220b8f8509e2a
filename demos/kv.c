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
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
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

static void set(const char *key, const char *value)
{
	struct entry *entry = find(key);

	if (!entry) {
		entry = calloc(1, sizeof(*entry) + strlen(key) + 1);
		strcpy(entry->key, key);
		HASH_ADD_STR(table, key, entry);
	}
	free(entry->value);
	entry->value = strdup(value);
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
	HSK_TX_DURABLE {
		pthread_mutex_lock(&lock);
		if (value)
			set(key, value);
		else
			delete(key);
		pthread_mutex_unlock(&lock);
	}
	const int status = hsk_status();
	snprintf(answer, LINE_BYTES, status == 0 ? "OK\n" : "not durable: %s\n", strerror(-status));
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

	if (argc != 2 || strlen(argv[1]) >= sizeof(address.sun_path))
		return fprintf(stderr, "usage: kv SOCKET\n"), 2;
	strcpy(address.sun_path, argv[1]);
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
