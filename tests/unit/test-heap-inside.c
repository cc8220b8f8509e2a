/*
 * A thread stopped where heap_is_interrupted() says it may be leaves a whole heap.
 *
 * Once exhaustively: a thread is stepped through calls of every kind, and between any two
 * instructions the validator looks. Once at random: threads at work are stopped all together, as
 * for a cut.
 */
#include "shadow.h"

#include <sys/syscall.h>
#include <ucontext.h>

#include "heap/sizeclass.h"

TestSuite(heap_inside, .timeout = 100);

static bool a_lock_is_held(void)
{
	const struct lock *slab_locks = &state.slab_locks[0][0];
	for (size_t i = 0; i < HEAP_SHARDS_MAX * HEAP_CLASSES; i++)
		if (slab_locks[i].word != 0)
			return true;
	return state.page_lock.word != 0;
}

/* An address of the interrupted code. */
static uintptr_t pc_of(const void *context)
{
#if defined(__x86_64__)
	return (uintptr_t)((const ucontext_t *)context)->uc_mcontext.gregs[REG_RIP];
#else
	return (uintptr_t)((const ucontext_t *)context)->uc_mcontext.pc;
#endif
}

#if defined(__x86_64__)
static struct {
	bool is_heard; /* what heap_is_interrupted() says */
	size_t steps, inside, broken;
} walk;

static void step(int number, siginfo_t *info, void *context)
{
	(void)number, (void)info;
	walk.steps++;
	if (walk.is_heard && heap_is_interrupted(pc_of(context))) {
		walk.inside++;
		return;
	}
	if (a_lock_is_held() || heap_check(NULL, NULL) != 0)
		walk.broken++;
}

static void step_by_step(bool is_on)
{
	const uint64_t flag = is_on ? 0x100 : 0;
	__asm__ volatile("lea -128(%%rsp), %%rsp\n\t" /* below the red zone */
			 "pushfq\n\t"
			 "andq $~0x100, (%%rsp)\n\t"
			 "orq %0, (%%rsp)\n\t"
			 "popfq\n\t"
			 "lea 128(%%rsp), %%rsp"
			 :
			 : "r"(flag)
			 : "memory", "cc");
}

static void use_everything(void)
{
	void *blocks[48];
	for (int i = 0; i < 48; i++) /* refills, runs */
		blocks[i] = heap_alloc(2000);
	for (int i = 0; i < 48; i++) /* flushes */
		heap_free(blocks[i]);
	for (int i = 0; i < 20; i++)
		blocks[i] = heap_alloc(2000);
	char *grown = heap_alloc_zeroed(10);
	grown = heap_realloc(grown, 200);
	grown = heap_realloc(grown, 50000);
	grown = heap_realloc(grown, 90000);
	grown = heap_realloc(grown, 40000);
	heap_free(grown);
	heap_free(heap_alloc_aligned(4096, 100));
	heap_free(heap_alloc_aligned(1 << 14, 100));
	heap_free(heap_alloc_zeroed(40000));
	heap_set_root("root", blocks[0]);
	heap_set_root("root", NULL);
	(void)heap_alloc(1 << 30);
	for (int i = 0; i < 20; i++)
		heap_free(blocks[i]);
	heap_undo_begin();
	heap_undo_add(blocks, sizeof(blocks));
	for (int i = 0; i < 10; i++)
		(void)heap_alloc((size_t)i * 5000);
	heap_undo_abort();
	heap_trim();
	heap_free(heap_alloc(20));
	heap_thread_exit();
	heap_free(heap_alloc(20));
}

static void walk_through(bool is_heard)
{
	arena_open_size(HEAP_SIZE_MIN);
	heap_free(heap_alloc(100));
	arena.keeps_pages = true; /* asserts make too many steps */
	cr_assert_eq(mprotect(arena.base, arena.size, PROT_READ | PROT_WRITE), 0);
	const struct sigaction action = {.sa_sigaction = step, .sa_flags = SA_SIGINFO};
	sigaction(SIGTRAP, &action, NULL);
	walk.is_heard = is_heard;
	step_by_step(true);
	use_everything();
	step_by_step(false);
	fprintf(stderr, "%zu steps, %zu inside, %zu broken\n", walk.steps, walk.inside, walk.broken);
}

static void walk_hearing(void *arg)
{
	(void)arg;
	walk_through(true);
	CHILD_MUST(walk.broken == 0);
	CHILD_MUST(walk.inside > 1000);
	CHILD_MUST(walk.steps > walk.inside + 100);
	CHILD_MUST(heap_check(NULL, NULL) == 0);
}

Test(heap_inside, between_any_two_instructions_the_heap_is_whole_or_says_so)
{
	arena_assert_child(walk_hearing, NULL);
}

static void walk_deaf(void *arg)
{
	(void)arg;
	walk_through(false);
	CHILD_MUST(walk.broken > 100);
}

Test(heap_inside, and_this_would_be_seen)
{
	arena_assert_child(walk_deaf, NULL);
}

static void *fast_path(void *arg)
{
	heap_free(arg);
	return heap_alloc(100);
}

/* The fast path changes the heap in two stores: between them it is broken. */
static void walk_deaf_through_the_fast_path(void *arg)
{
	(void)arg;
	arena_open_size(HEAP_SIZE_MIN);
	void *p = heap_alloc(100);
	const struct sigaction action = {.sa_sigaction = step, .sa_flags = SA_SIGINFO};
	sigaction(SIGTRAP, &action, NULL);
	step_by_step(true);
	p = fast_path(p);
	step_by_step(false);
	CHILD_MUST(walk.broken > 1);
	CHILD_MUST(p && heap_check(NULL, NULL) == 0);
}

Test(heap_inside, on_the_fast_path_as_well)
{
	arena_assert_child(walk_deaf_through_the_fast_path, NULL);
}
#endif

#define THREADS 3

enum answer { NONE, BUSY, STANDS };

static struct worker {
	pthread_t thread;
	int tid;
	int answer;
} workers[THREADS];
static __thread struct worker *self;
static int cuts_over, is_over;
static bool is_asked = true; /* false: everybody is taken to stand anywhere */

static int load(const int *at)
{
	return __atomic_load_n(at, __ATOMIC_SEQ_CST);
}

static void store(int *at, int value)
{
	__atomic_store_n(at, value, __ATOMIC_SEQ_CST);
}

static void stop(int number, siginfo_t *info, void *context)
{
	(void)number, (void)info;
	if (is_asked && heap_is_interrupted(pc_of(context))) {
		store(&self->answer, BUSY);
		return;
	}
	const int over = load(&cuts_over);
	store(&self->answer, STANDS);
	while (load(&cuts_over) == over)
		usleep(20); /* yielding keeps others from their turn for milliseconds */
}

static void *work(void *arg)
{
	self = arg;
	store(&self->tid, (int)syscall(SYS_gettid));
	uint64_t random = (uint64_t)(uintptr_t)arg;
	char *blocks[256] = {NULL};
	while (!load(&is_over)) {
		random = random * UINT64_C(6364136223846793005) + 1442695040888963407;
		char **block = &blocks[random >> 56];
		const size_t size = random >> 33 & 15 ? random >> 40 & 1023 : random >> 40 & 65535;
		if (*block && (random >> 30 & 3) == 0) {
			*block = heap_realloc(*block, size + 1);
		} else if (*block) {
			heap_free(*block);
			*block = NULL;
		} else {
			*block = heap_alloc(size);
		}
	}
	for (int i = 0; i < 256; i++)
		if (blocks[i])
			heap_free(blocks[i]);
	heap_thread_exit();
	return NULL;
}

static size_t busy_answers;

/* All threads stand still where they may; false: not within some seconds. */
static bool stop_all(void)
{
	for (int i = 0; i < THREADS; i++) {
		int tries = 0;
		do {
			store(&workers[i].answer, NONE);
			syscall(SYS_tgkill, getpid(), workers[i].tid, SIGUSR1);
			while (load(&workers[i].answer) == NONE)
				usleep(20);
			busy_answers += load(&workers[i].answer) == BUSY;
			if (tries++ > 1000)
				usleep(100);
		} while (load(&workers[i].answer) != STANDS && tries < 20000);
		if (load(&workers[i].answer) != STANDS)
			return false;
	}
	return true;
}

static size_t broken_cuts;

static void cut_again_and_again(int cuts)
{
	const struct sigaction action = {.sa_sigaction = stop, .sa_flags = SA_SIGINFO | SA_RESTART};
	sigaction(SIGUSR1, &action, NULL);
	for (int i = 0; i < THREADS; i++)
		CHILD_MUST(pthread_create(&workers[i].thread, NULL, work, &workers[i]) == 0);
	for (int i = 0; i < THREADS; i++)
		while (load(&workers[i].tid) == 0)
			usleep(20);
	for (int cut = 0; cut < cuts; cut++) {
		CHILD_MUST(stop_all());
		broken_cuts += a_lock_is_held() || heap_check(NULL, NULL) != 0;
		store(&cuts_over, cuts_over + 1);
		usleep(50 + arena_random(500));
	}
	store(&is_over, 1);
	for (int i = 0; i < THREADS; i++)
		CHILD_MUST(pthread_join(workers[i].thread, NULL) == 0);
}

static void cut_asking(void *arg)
{
	(void)arg;
	cut_again_and_again(400);
	CHILD_MUST(broken_cuts == 0);
	CHILD_MUST(heap_check(NULL, NULL) == 0);
	CHILD_MUST(busy_answers > 20);
}

Test(heap_inside, threads_stopped_together_leave_a_whole_heap)
{
	arena_seed();
	arena_open_size(128 * MIB);
	arena_assert_child(cut_asking, NULL);
}

static void cut_without_asking(void *arg)
{
	(void)arg;
	is_asked = false;
	cut_again_and_again(100);
	CHILD_MUST(broken_cuts > 10);
}

Test(heap_inside, which_they_would_not_without_asking)
{
	arena_seed();
	arena_open_size(128 * MIB);
	arena_assert_child(cut_without_asking, NULL);
}
