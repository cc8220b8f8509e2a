/* Threads with numbers of their own, and what they keep for themselves, that wait for a word: each
 * then says what it has, and ends. For that they need not be the numbers of the life before. */
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#define THREADS 5

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int ready_count, turn = -1;
static __thread int own;

static void *wait_and_say(void *argument)
{
	own = *(const int *)argument;
	pthread_mutex_lock(&lock);
	ready_count++;
	pthread_cond_broadcast(&changed);
	while (turn != own)
		pthread_cond_wait(&changed, &lock);
	printf("thread %d, %s\n", own, gettid() == getpid() ? "of the process's number" : "there");
	turn++;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
	return argument;
}

int main(void)
{
	pthread_t threads[THREADS];
	int numbers[THREADS];
	char line[64];
	void *result;

	for (int i = 0; i < THREADS; i++) {
		numbers[i] = i;
		if (pthread_create(&threads[i], NULL, wait_and_say, &numbers[i]) != 0)
			return 1;
	}
	pthread_mutex_lock(&lock);
	while (ready_count < THREADS)
		pthread_cond_wait(&changed, &lock);
	pthread_mutex_unlock(&lock);

	puts("kill");
	fflush(stdout);
	if (!fgets(line, sizeof(line), stdin))
		return 2;
	pthread_mutex_lock(&lock);
	turn = 0;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
	for (int i = 0; i < THREADS; i++)
		if (pthread_join(threads[i], &result) != 0 || result != &numbers[i])
			return 3;
	return turn == THREADS ? 0 : 4;
}
