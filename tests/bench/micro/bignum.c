/*
 * Arithmetic on big numbers, each result a block of its own that lives for one operation.
 *
 * usage: bignum PERCENT
 *
 * Fibonacci numbers by addition, then factorials by small factors, both checked modulo a prime.
 * The live set is tiny and lifetimes shortest of all: an allocator's best case, where only its
 * path length counts.
 */
#include "bench.h"

#define PRIME 1000000007u

struct bignum {
	uint32_t count;
	uint32_t digits[];
};

static struct bignum *bignum_new(uint32_t count)
{
	struct bignum *number = malloc(sizeof(*number) + count * sizeof(uint32_t));

	bench_check(number != NULL, "out of memory");
	number->count = count;
	return number;
}

static struct bignum *bignum_small(uint32_t value)
{
	struct bignum *number = bignum_new(1);

	number->digits[0] = value;
	return number;
}

static struct bignum *bignum_add(const struct bignum *a, const struct bignum *b)
{
	struct bignum *sum = bignum_new((a->count > b->count ? a->count : b->count) + 1);
	uint64_t carry = 0;

	for (uint32_t i = 0; i < sum->count; i++) {
		carry += i < a->count ? a->digits[i] : 0;
		carry += i < b->count ? b->digits[i] : 0;
		sum->digits[i] = (uint32_t)carry;
		carry >>= 32;
	}
	sum->count -= sum->digits[sum->count - 1] == 0;
	return sum;
}

static struct bignum *bignum_multiply(const struct bignum *a, uint32_t factor)
{
	struct bignum *product = bignum_new(a->count + 1);
	uint64_t carry = 0;

	for (uint32_t i = 0; i < a->count; i++) {
		carry += (uint64_t)a->digits[i] * factor;
		product->digits[i] = (uint32_t)carry;
		carry >>= 32;
	}
	product->digits[a->count] = (uint32_t)carry;
	product->count -= carry == 0;
	return product;
}

static uint32_t bignum_modulo(const struct bignum *number)
{
	uint64_t rest = 0;

	for (uint32_t i = number->count; i-- > 0;)
		rest = ((rest << 32) | number->digits[i]) % PRIME;
	return (uint32_t)rest;
}

static void fibonacci(unsigned count)
{
	struct bignum *a = bignum_small(0), *b = bignum_small(1);
	uint64_t small_a = 0, small_b = 1;

	for (unsigned i = 0; i < count; i++) {
		struct bignum *sum = bignum_add(a, b);
		uint64_t small_sum = (small_a + small_b) % PRIME;

		free(a);
		a = b;
		b = sum;
		small_a = small_b;
		small_b = small_sum;
	}
	bench_check(bignum_modulo(b) == small_b, "a sum is wrong");
	free(a);
	free(b);
}

static void factorial(unsigned count)
{
	struct bignum *number = bignum_small(1);
	uint64_t small = 1;

	for (unsigned i = 2; i < count; i++) {
		struct bignum *product = bignum_multiply(number, i);

		free(number);
		number = product;
		small = small * i % PRIME;
	}
	bench_check(bignum_modulo(number) == small, "a product is wrong");
	free(number);
}

int main(int argc, char **argv)
{
	unsigned long rounds = bench_scaled(argc, argv, 200000);

	for (unsigned long round = 0; round < rounds; round++) {
		fibonacci(180 + round % 50);
		factorial(50 + round % 30);
	}
	return 0;
}
