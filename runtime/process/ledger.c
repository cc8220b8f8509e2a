/*
 * A record is { kind, payload length } and the payload, padded to 8; LEDGER_END ends it.
 */
#include "ledger.h"

#include <string.h>

#include "check.h"
#include "line.h"
#include "os.h"
#include "ours.h"

struct ledger_head {
	uint32_t kind;
	uint32_t len; /* of the payload, without padding */
};

static size_t padded(size_t len)
{
	return (len + 7) & ~(size_t)7;
}

/* Where records go that are not wanted: their writers need no second way. Never read. */
static void *nowhere(void)
{
	static void *memory OURS;

	if (!memory)
		memory = os_reserve(LEDGER_RECORD_MAX);
	CHECK(!os_is_error(memory));
	return memory;
}

void *ledger_put(struct ledger_writer *writer, enum ledger_kind kind, size_t len)
{
	const size_t wanted = sizeof(struct ledger_head) + padded(len);

	CHECK(len <= LEDGER_RECORD_MAX);
	if (wanted + sizeof(struct ledger_head) > writer->capacity - writer->len)
		ledger_veto(writer, "more to describe than there is room for", NULL);
	if (writer->veto[0])
		return nowhere();
	struct ledger_head *head = (void *)(writer->bytes + writer->len);
	memset(head, 0, wanted + sizeof(*head)); /* and the end behind it */
	*head = (struct ledger_head){kind, (uint32_t)len};
	writer->len += wanted;
	return head + 1;
}

void ledger_veto(struct ledger_writer *writer, const char *what, const char *which)
{
	if (writer->veto[0])
		return;
	struct line line = line_in(writer->veto, sizeof(writer->veto));
	line_add(&line, what);
	if (which) {
		line_add(&line, ": ");
		line_add(&line, which);
	}
}

const void *ledger_next(struct ledger_reader *reader, enum ledger_kind kind, size_t *ret_len)
{
	while (reader->len - reader->at >= sizeof(struct ledger_head)) {
		const struct ledger_head *head = (const void *)(reader->bytes + reader->at);
		const size_t left = reader->len - reader->at - sizeof(*head);
		if (head->kind == LEDGER_END || padded(head->len) > left)
			return NULL;
		reader->at += sizeof(*head) + padded(head->len);
		if (head->kind != (uint32_t)kind)
			continue;
		*ret_len = head->len;
		return head + 1;
	}
	return NULL;
}
