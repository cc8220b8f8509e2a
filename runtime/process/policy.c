/*
 * The problem: the kernel tells a range's policy at the price of walking its pages, and a policy is
 * long, while what is noted of a range are bits. The trick: who says one says it here, too; there
 * are few different ones, so they have numbers, given in the order they were first said in.
 */
#include "policy.h"

#include <string.h>

#include "ours.h"
#include "task.h"

#define POLICIES_MAX 255
#define NODES (POLICY_WORDS * 64)

static struct {
	unsigned count;
	struct policy list[POLICIES_MAX];
} known OURS;

struct policy policy_of(int mode, const void *nodes, uint64_t count)
{
	struct policy policy = {.mode = (uint32_t)mode};
	const uint64_t bits = count > NODES ? NODES : count ? count - 1 : 0; /* the kernel counts so */

	if (!nodes || !bits)
		return policy;
	memcpy(policy.nodes, nodes, (bits + 63) / 64 * sizeof(uint64_t));
	for (uint64_t i = bits; i < NODES; i++)
		policy.nodes[i / 64] &= ~(UINT64_C(1) << i % 64);
	return policy;
}

bool policy_get(struct policy *ret_policy)
{
	int mode;

	memset(ret_policy, 0, sizeof(*ret_policy));
	if (os_get_mempolicy(&mode, ret_policy->nodes, NODES) != 0)
		return false;
	ret_policy->mode = (uint32_t)mode;
	return true;
}

void policy_set(const struct policy *policy)
{
	os_set_mempolicy((int)policy->mode, policy->nodes, policy->mode ? NODES : 0);
}

unsigned policy_number(const struct policy *policy)
{
	unsigned i = 0;

	if (!policy->mode)
		return 0;
	while (i < known.count && memcmp(&known.list[i], policy, sizeof(*policy)) != 0)
		i++;
	if (i == POLICIES_MAX)
		return 0;
	if (i == known.count)
		known.list[known.count++] = *policy;
	return i + 1;
}

void policy_bind(unsigned number, void *start, size_t len)
{
	if (number && number <= known.count)
		os_mbind(start, len, (int)known.list[number - 1].mode, known.list[number - 1].nodes, NODES);
}

void policies_save(struct ledger_writer *writer)
{
	for (unsigned i = 0; i < known.count; i++)
		memcpy(ledger_put(writer, LEDGER_POLICY, sizeof(struct policy)), &known.list[i],
		       sizeof(struct policy));
}

bool policies_load(const struct ledger_reader *state)
{
	struct ledger_reader reader = *state;
	const struct policy *policy;
	size_t len;

	while ((policy = ledger_next(&reader, LEDGER_POLICY, &len))) {
		if (len != sizeof(*policy) || known.count == POLICIES_MAX)
			return false;
		known.list[known.count++] = *policy;
	}
	return true;
}
