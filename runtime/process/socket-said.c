/*
 * The problem: the kernel has some hundred options of sockets; not all can be asked for, and of a
 * membership it tells only that somebody has it. The trick: what was said successfully is said
 * again, in the same bytes, in the same order; of one option the last counts, but where it adds to
 * a set or takes from one. The guarantee: call and note are one section of ours.
 *
 * Known by inode, for a descriptor may be a copy and its number another's soon. What cannot be said
 * again (a filter, which is in memory elsewhere) is a veto while the socket is there.
 */
#include "socket-said.h"

#include <linux/netlink.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "descriptor.h"
#include "line.h"
#include "lock.h"
#include "os.h"
#include "ours.h"
#include "process.h"
#include "socket-options.h"

#define SAID_MAX 1024
#define VALUE_MAX 272 /* of a group and a source: 264 */
#define IP_NAMES 64   /* from here on what is set belongs to the machine (iptables, mroute) */

/* LEDGER_OPTION. */
struct said {
	uint64_t ino;
	uint32_t fd; /* in the ledger */
	int32_t level, name;
	uint32_t len; /* more than VALUE_MAX: it cannot be said again */
	uint32_t round; /* of looks at descriptors, before which it was said */
	char bytes[VALUE_MAX];
};
#define UNSPEAKABLE UINT32_MAX

static struct {
	struct lock lock;
	struct said *list;
	uint32_t count, round, age;
	bool is_full;
} self OURS;

/* What adds to a set, and what takes from it; and which bytes name an interface, which may be told
 * in another way, or not at all, when it is taken. */
static const struct set {
	int level, adds, takes;
	uint32_t interface, interface_end;
} sets[] = {
	{IPPROTO_IP, IP_ADD_MEMBERSHIP, IP_DROP_MEMBERSHIP, 4, 12},
	{IPPROTO_IP, IP_ADD_SOURCE_MEMBERSHIP, IP_DROP_SOURCE_MEMBERSHIP, 4, 8},
	{IPPROTO_IP, IP_BLOCK_SOURCE, IP_UNBLOCK_SOURCE, 4, 8},
	{IPPROTO_IP, MCAST_JOIN_GROUP, MCAST_LEAVE_GROUP, 0, 8},
	{IPPROTO_IP, MCAST_JOIN_SOURCE_GROUP, MCAST_LEAVE_SOURCE_GROUP, 0, 8},
	{IPPROTO_IP, MCAST_BLOCK_SOURCE, MCAST_UNBLOCK_SOURCE, 0, 8},
	{IPPROTO_IPV6, IPV6_ADD_MEMBERSHIP, IPV6_DROP_MEMBERSHIP, 16, 20},
	{IPPROTO_IPV6, IPV6_JOIN_ANYCAST, IPV6_LEAVE_ANYCAST, 16, 20},
	{IPPROTO_IPV6, MCAST_JOIN_GROUP, MCAST_LEAVE_GROUP, 0, 8},
	{IPPROTO_IPV6, MCAST_JOIN_SOURCE_GROUP, MCAST_LEAVE_SOURCE_GROUP, 0, 8},
	{IPPROTO_IPV6, MCAST_BLOCK_SOURCE, MCAST_UNBLOCK_SOURCE, 0, 8},
	{SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, NETLINK_DROP_MEMBERSHIP, 0, 0},
	{IPPROTO_TCP, TCP_MD5SIG, 0, 0, 0},
};
#define SETS (sizeof(sets) / sizeof(sets[0]))

/* Their value is a pointer, or a descriptor. */
static bool is_unspeakable(int level, int name)
{
	return level == SOL_SOCKET && (name == SO_ATTACH_FILTER || name == SO_ATTACH_BPF ||
				       name == SO_ATTACH_REUSEPORT_CBPF || name == SO_ATTACH_REUSEPORT_EBPF);
}

static bool is_of_no_use(int level, int name)
{
	if (level == IPPROTO_IP)
		return name >= IP_NAMES;
	if (level == IPPROTO_IPV6)
		return name == IP_NAMES || name == IP_NAMES + 1 || name >= 200;
	return (level == IPPROTO_TCP && name == TCP_QUICKACK) || socket_options_have(level, name);
}

/* ---- On the program's threads, in a section of ours ---- */

static bool is_of(const struct said *said, uint64_t ino, int level, int name)
{
	return said->ino == ino && said->level == level && said->name == name;
}

static void forget(uint32_t i)
{
	memmove(&self.list[i], &self.list[i + 1], (self.count - i - 1) * sizeof(*self.list));
	self.count--;
}

static void forget_all_of(uint64_t ino, int level, int name)
{
	for (uint32_t i = self.count; i-- > 0;)
		if (is_of(&self.list[i], ino, level, name))
			forget(i);
}

static bool is_equal(const struct said *said, const void *value, uint32_t from, uint32_t len)
{
	return said->len == len && memcmp(said->bytes + from, (const char *)value + from, len - from) == 0;
}

static bool is_equal_elsewhere(const struct said *said, const struct set *set, const void *value,
			       uint32_t len)
{
	const uint32_t from = set->interface, end = set->interface_end;

	if (said->len < from || len < from || memcmp(said->bytes, value, from) != 0)
		return false;
	return (said->len <= end && len <= end) || is_equal(said, value, end, len);
}

/* As it was added: else, by another interface's name, what has that group. */
static void take(uint64_t ino, const struct set *set, const void *value, uint32_t len)
{
	for (int is_exact = 1; is_exact >= 0; is_exact--)
		for (uint32_t i = 0; i < self.count; i++) {
			const struct said *said = &self.list[i];
			if (!is_of(said, ino, set->level, set->adds) ||
			    !(is_exact ? is_equal(said, value, 0, len)
				       : is_equal_elsewhere(said, set, value, len)))
				continue;
			forget(i);
			return;
		}
}

static void add(uint64_t ino, int level, int name, const void *value, uint32_t len)
{
	if (!self.list)
		self.list = os_reserve(SAID_MAX * sizeof(*self.list));
	if (os_is_error(self.list))
		self.list = NULL;
	self.is_full |= !self.list || self.count == SAID_MAX;
	if (!self.list || self.count == SAID_MAX)
		return;
	struct said *said = &self.list[self.count++];
	memset(said, 0, sizeof(*said));
	*said = (struct said){.ino = ino, .level = level, .name = name, .len = len,
			      .round = self.round};
	if (len > VALUE_MAX || is_unspeakable(level, name))
		said->len = UNSPEAKABLE;
	else if (value)
		memcpy(said->bytes, value, len);
}

static void note(uint64_t ino, int level, int name, const void *value, uint32_t len)
{
	if (level == SOL_SOCKET && (name == SO_DETACH_FILTER || name == SO_DETACH_REUSEPORT_BPF)) {
		const bool is_own = name == SO_DETACH_FILTER;
		forget_all_of(ino, level, is_own ? SO_ATTACH_FILTER : SO_ATTACH_REUSEPORT_CBPF);
		forget_all_of(ino, level, is_own ? SO_ATTACH_BPF : SO_ATTACH_REUSEPORT_EBPF);
		return;
	}
	for (unsigned i = 0; i < SETS; i++) {
		if (sets[i].level != level)
			continue;
		if (sets[i].takes == name)
			return take(ino, &sets[i], value, len);
		if (sets[i].adds == name)
			return add(ino, level, name, value, len);
	}
	forget_all_of(ino, level, name);
	add(ino, level, name, value, len);
}

/* ---- Groups in the form of all protocols ---- */

static bool is_of_any_protocol(int level, int name)
{
	return (level == IPPROTO_IP || level == IPPROTO_IPV6) && name >= MCAST_JOIN_GROUP &&
	       name <= MCAST_LEAVE_SOURCE_GROUP;
}

static void clean_address(struct sockaddr_storage *ret_address, const struct sockaddr_storage *from)
{
	ret_address->ss_family = from->ss_family;
	if (from->ss_family == AF_INET)
		((struct sockaddr_in *)ret_address)->sin_addr = ((const struct sockaddr_in *)from)->sin_addr;
	else
		((struct sockaddr_in6 *)ret_address)->sin6_addr =
			((const struct sockaddr_in6 *)from)->sin6_addr;
}

/* Two that are the same may differ in bytes that say nothing. The new length */
static uint32_t clean(struct group_source_req *ret_group, int name, const void *value)
{
	const bool has_source = name != MCAST_JOIN_GROUP && name != MCAST_LEAVE_GROUP;
	struct group_source_req group;

	memset(ret_group, 0, sizeof(*ret_group));
	memcpy(&group, value, has_source ? sizeof(group) : sizeof(struct group_req));
	ret_group->gsr_interface = group.gsr_interface;
	clean_address(&ret_group->gsr_group, &group.gsr_group);
	if (has_source)
		clean_address(&ret_group->gsr_source, &group.gsr_source);
	return has_source ? sizeof(group) : sizeof(struct group_req);
}

/* A connection does not come back, but of a pair. */
static bool is_connected(int fd)
{
	struct sockaddr_storage peer = {0};
	uint32_t len = sizeof(peer), type_len = sizeof(int);
	int type = 0;

	return os_getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &type_len) >= 0 && type == SOCK_STREAM &&
	       os_getpeername(fd, &peer, &len) >= 0 && peer.ss_family != AF_UNIX;
}

void process_note_option(int fd, int level, int name, const void *value, uint32_t len)
{
	struct group_source_req group;
	struct stat st;

	__atomic_add_fetch(&self.age, 1, __ATOMIC_SEQ_CST);
	if (is_of_no_use(level, name) || is_connected(fd) || os_fstat(fd, &st) != 0)
		return;
	if (is_of_any_protocol(level, name)) {
		len = clean(&group, name, value);
		value = &group;
	}
	lock_acquire(&self.lock);
	note(st.st_ino, level, name, value, len);
	lock_release(&self.lock);
}

/* ---- On the committer's thread ---- */

void said_begin_look(void)
{
	__atomic_add_fetch(&self.round, 1, __ATOMIC_SEQ_CST);
}

uint32_t said_age(void)
{
	return __atomic_load_n(&self.age, __ATOMIC_SEQ_CST);
}

void said_prune(bool (*has)(uint64_t ino))
{
	uint32_t kept = 0;

	if (self.count < SAID_MAX / 2)
		return;
	lock_acquire(&self.lock);
	for (uint32_t i = 0; i < self.count; i++)
		if (self.list[i].round == self.round || has(self.list[i].ino))
			self.list[kept++] = self.list[i];
	self.count = kept;
	lock_release(&self.lock);
}

static void veto_unspeakable(const struct said *said, struct ledger_writer *writer)
{
	char text[64];
	struct line line = line_in(text, sizeof(text));

	line_add(&line, "descriptor ");
	line_add_number(&line, said->fd, 10);
	line_add(&line, is_unspeakable(said->level, said->name) ?
				", a socket with a filter (SO_ATTACH...)" : ", an option of a socket");
	ledger_veto(writer, text, NULL);
}

void said_save(uint64_t ino, uint32_t fd, struct ledger_writer *writer)
{
	if (self.is_full)
		ledger_veto(writer, "more options of sockets than there is room for", NULL);
	for (uint32_t i = 0; i < self.count; i++) {
		struct said *said = &self.list[i];
		if (said->ino != ino)
			continue;
		said->fd = fd;
		if (said->len == UNSPEAKABLE)
			veto_unspeakable(said, writer);
		memcpy(ledger_put(writer, LEDGER_OPTION, sizeof(*said)), said, sizeof(*said));
	}
}

/* ---- In a new process ---- */

bool said_make(int made, uint32_t fd, const struct ledger_reader *state)
{
	struct ledger_reader reader = {.bytes = state->bytes, .len = state->len};
	const struct said *said;
	bool is_whole = true;
	struct stat st;
	size_t len;

	if (os_fstat(made, &st) != 0)
		return false;
	while ((said = ledger_next(&reader, LEDGER_OPTION, &len))) {
		if (len != sizeof(*said) || said->fd != fd || said->len > VALUE_MAX)
			continue;
		is_whole &= os_setsockopt(made, said->level, said->name, said->bytes, said->len) >= 0;
		add(st.st_ino, said->level, said->name, said->bytes, said->len);
	}
	return is_whole;
}
