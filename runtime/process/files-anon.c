/*
 * Files without a name or a place: eventfd, timerfd, signalfd. They share one inode, so only /proc
 * tells them apart and what they hold; it is read in the pause.
 */
#include <asm/ioctl.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "descriptor.h"
#include "files-kind.h"
#include "os.h"
#include "ours.h"

#define NS_PER_S UINT64_C(1000000000)

/* ---- eventfd ---- */

struct eventfd_part {
	uint64_t count;
	uint64_t is_semaphore;
};

static bool eventfd_claims(const struct file_look *look)
{
	return file_is_called(look, "anon_inode:[eventfd]");
}

/* The text shows as well whether it still is one. */
static bool eventfd_refresh(struct file_record *record, const struct stat *st)
{
	struct eventfd_part *part = (void *)record->part;
	struct file_info info;
	bool is_one = false;
	const char *at;

	(void)st;
	memset(part, 0, sizeof(*part));
	if (!file_info_open(&info, (int)record->fd))
		return false;
	while (file_info_next(&info)) {
		if ((at = file_info_word(&info, "eventfd-count:"))) {
			part->count = file_number(&at, 16);
			is_one = true;
		}
		if ((at = file_info_word(&info, "eventfd-semaphore:"))) {
			part->is_semaphore = file_number(&at, 10);
			break; /* nothing of use behind it */
		}
	}
	file_info_close(&info);
	return is_one;
}

static size_t eventfd_describe(const struct file_look *look, struct file_record *record)
{
	eventfd_refresh(record, &look->st);
	return sizeof(struct eventfd_part);
}

static int eventfd_make(const struct file_record *record, const struct ledger_reader *state,
			struct line *why)
{
	const struct eventfd_part *part = (const void *)record->part;
	const int semaphore = 1; /* EFD_SEMAPHORE */
	const int fd = os_eventfd(0, O_CLOEXEC | (part->is_semaphore ? semaphore : 0));

	(void)state, (void)why;
	if (fd >= 0 && part->count)
		os_write(fd, &part->count, sizeof(part->count));
	return fd;
}

const struct file_kind file_eventfd = {
	.claims = eventfd_claims,
	.describe = eventfd_describe,
	.refresh = eventfd_refresh,
	.is_refreshed_whole = true,
	.make = eventfd_make,
};

/* ---- timerfd ---- */

/* What is left until it expires shrinks all the time; the time it expires at does not, and is the
 * same in the next life, whose clocks go on. If they do not, what was left counts. */
struct timerfd_part {
	uint32_t clock;
	uint32_t settime_flags;
	uint64_t ticks;
	uint64_t expires_ns; /* 0: it is not running */
	uint64_t left_ns;    /* when it was described */
	uint64_t interval_ns;
};
#define SAME_EXPIRY_NS 1000000 /* reading two clocks is not exact */
#define TICK_LOOKS 8            /* of some 5 us each */
#define JUST_NOW_NS 20000000   /* it may have been set again since it was described */
#define TIMERFD_SET_TICKS _IOW('T', 0, uint64_t)

static bool timerfd_claims(const struct file_look *look)
{
	return file_is_called(look, "anon_inode:[timerfd]");
}

static uint64_t read_time(const char *at)
{
	const uint64_t s = file_number(&at, 10);

	return s * NS_PER_S + file_number(&at, 10);
}

static bool timerfd_read(int fd, struct timerfd_part *part)
{
	struct file_info info;
	bool is_one = false;
	const char *at;

	memset(part, 0, sizeof(*part));
	if (!file_info_open(&info, fd))
		return false;
	while (file_info_next(&info)) {
		if ((at = file_info_word(&info, "clockid:"))) {
			part->clock = (uint32_t)file_number(&at, 10);
			is_one = true;
		}
		if ((at = file_info_word(&info, "ticks:")))
			part->ticks = file_number(&at, 10);
		if ((at = file_info_word(&info, "settime flags:")))
			part->settime_flags = (uint32_t)file_number(&at, 8);
		if ((at = file_info_word(&info, "it_value:")))
			part->left_ns = read_time(at);
		if ((at = file_info_word(&info, "it_interval:")))
			part->interval_ns = read_time(at);
	}
	file_info_close(&info);
	/* Nothing is left of a periodic one that has expired, until its ticks are read; nor of one
	 * that was stopped, which has none. */
	if (part->left_ns || (part->interval_ns && part->ticks))
		part->expires_ns = part->left_ns + os_clock_ns((clockid_t)part->clock);
	return is_one;
}

/* An interrupt, elsewhere maybe, makes a tick of a time that is over, and until it has, the timer
 * looks like one that is not running. So it is looked at for as long as that may take. */
static bool timerfd_read_ticks(int fd, struct timerfd_part *part)
{
	bool is_one = timerfd_read(fd, part);

	for (int i = 0; i < TICK_LOOKS && is_one && !part->left_ns && !part->ticks; i++)
		is_one = timerfd_read(fd, part);
	return is_one;
}

/* Only then: for others, which do not run, this would be in vain each time. */
static bool has_just_expired(const struct timerfd_part *before)
{
	return before->expires_ns && os_clock_ns((clockid_t)before->clock) + SAME_EXPIRY_NS -
					     before->expires_ns < JUST_NOW_NS;
}

static size_t timerfd_describe(const struct file_look *look, struct file_record *record)
{
	timerfd_read_ticks(look->fd, (void *)record->part);
	return sizeof(struct timerfd_part);
}

static bool is_same_expiry(const struct timerfd_part *a, const struct timerfd_part *b)
{
	const uint64_t x = a->expires_ns, y = b->expires_ns;

	if (!x || !y || (!a->left_ns && !b->left_ns))
		return !x == !y;
	return (x > y ? x - y : y - x) < SAME_EXPIRY_NS;
}

static bool timerfd_refresh(struct file_record *record, const struct stat *st)
{
	struct timerfd_part *part = (void *)record->part, now;

	(void)st;
	if (!(has_just_expired(part) ? timerfd_read_ticks : timerfd_read)((int)record->fd, &now))
		return false;
	if (is_same_expiry(part, &now)) {
		now.expires_ns = part->expires_ns;
		now.left_ns = part->left_ns;
	}
	*part = now;
	return true;
}

static struct timespec time_of(uint64_t ns)
{
	return (struct timespec){.tv_sec = (time_t)(ns / NS_PER_S), .tv_nsec = (long)(ns % NS_PER_S)};
}

/* One that was set for a while, by the time of day, does not heed that it was set since. */
static int timerfd_start(const struct timerfd_part *part, int fd)
{
	const uint64_t now = os_clock_ns((clockid_t)part->clock);
	const bool has_gone_back = now + part->left_ns < part->expires_ns;
	const int absolute = 1, cancelled_by_set = 2; /* TFD_TIMER_* */
	const bool is_of_day = part->clock == CLOCK_REALTIME || part->clock == CLOCK_REALTIME_ALARM;
	const bool is_for_a_while = is_of_day && !(part->settime_flags & absolute);
	const uint64_t at = has_gone_back && (!is_of_day || is_for_a_while) ? now + part->left_ns :
									      part->expires_ns;
	struct itimerspec value = {time_of(part->interval_ns), time_of(at)};

	if (!is_for_a_while)
		return os_timerfd_settime(fd, absolute | ((int)part->settime_flags & cancelled_by_set),
					  &value);
	value.it_value = time_of(at > now ? at - now : 1);
	return os_timerfd_settime(fd, 0, &value);
}

static int timerfd_make(const struct file_record *record, const struct ledger_reader *state,
			struct line *why)
{
	const struct timerfd_part *part = (const void *)record->part;
	const int fd = os_timerfd_create((int)part->clock, O_CLOEXEC);
	const struct itimerspec at_once = {.it_value.tv_nsec = 1};
	const struct itimerspec stopped = {.it_interval = time_of(part->interval_ns)};
	uint64_t ticks = part->ticks;

	(void)state, (void)why;
	if (fd < 0)
		return fd;
	int error = part->expires_ns ? timerfd_start(part, fd) : os_timerfd_settime(fd, 0, &stopped);
	if (!error && ticks && os_ioctl(fd, TIMERFD_SET_TICKS, &ticks) < 0 && !part->expires_ns)
		error = os_timerfd_settime(fd, 0, &at_once); /* one, at least */
	if (error)
		os_close(fd);
	return error ? error : fd;
}

const struct file_kind file_timerfd = {
	.claims = timerfd_claims,
	.describe = timerfd_describe,
	.refresh = timerfd_refresh,
	.is_refreshed_whole = true,
	.make = timerfd_make,
};

/* ---- signalfd ---- */

static bool signalfd_claims(const struct file_look *look)
{
	return file_is_called(look, "anon_inode:[signalfd]");
}

static bool signalfd_refresh(struct file_record *record, const struct stat *st)
{
	uint64_t *mask = (void *)record->part;
	struct file_info info;
	bool is_one = false;
	const char *at;

	(void)st;
	*mask = 0;
	if (!file_info_open(&info, (int)record->fd))
		return false;
	while (file_info_next(&info))
		if ((at = file_info_word(&info, "sigmask:"))) {
			*mask = file_number(&at, 16);
			is_one = true;
		}
	file_info_close(&info);
	return is_one;
}

static size_t signalfd_describe(const struct file_look *look, struct file_record *record)
{
	signalfd_refresh(record, &look->st);
	return sizeof(uint64_t);
}

static int signalfd_make(const struct file_record *record, const struct ledger_reader *state,
			 struct line *why)
{
	(void)state, (void)why;
	return os_signalfd(*(const uint64_t *)(const void *)record->part, O_CLOEXEC);
}

const struct file_kind file_signalfd = {
	.claims = signalfd_claims,
	.describe = signalfd_describe,
	.refresh = signalfd_refresh,
	.is_refreshed_whole = true,
	.make = signalfd_make,
};
