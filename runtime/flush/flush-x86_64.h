/*
 * Cache lines of x86-64: how bytes leave the caches for memory that stays.
 *
 * Three instructions write a line back, and a processor may have any of them: clwb leaves the line
 * where it is, clflushopt evicts it, and clflush evicts it and waits for the one before it as well.
 * All three are asked of cpuid; clflush is in every x86-64. None is complete before an sfence; nor
 * is a store past the caches.
 */
#pragma once

#include <cpuid.h>
#include <emmintrin.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define FLUSH_LINE_BYTES 64

enum flush_way { FLUSH_CLWB, FLUSH_CLFLUSHOPT, FLUSH_CLFLUSH, FLUSH_WAY_COUNT };

static inline bool flush_has(enum flush_way way)
{
	unsigned eax, ebx, ecx, edx;

	if (way == FLUSH_CLFLUSH)
		return true;
	if (!__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx))
		return false;
	return ebx >> (way == FLUSH_CLWB ? 24 : 23) & 1;
}

/* The best there is: the ways stand in that order. */
static inline enum flush_way flush_choose(void)
{
	enum flush_way way = FLUSH_CLWB;

	while (!flush_has(way))
		way++;
	return way;
}

/* Spelt out, so that no compiler needs to be told which processor this is for. */
static inline void flush_line(char *line, enum flush_way way)
{
	switch (way) {
	case FLUSH_CLWB:
		__asm__ volatile("clwb %0" : "+m"(*line));
		break;
	case FLUSH_CLFLUSHOPT:
		__asm__ volatile("clflushopt %0" : "+m"(*line));
		break;
	default:
		__asm__ volatile("clflush %0" : "+m"(*line));
	}
}

/* flush_range() - every line that [from, from+len) touches is on its way after this, and there
 * after the next flush_fence() */
static inline void flush_range(char *from, size_t len, enum flush_way way)
{
	char *line = from - (uintptr_t)from % FLUSH_LINE_BYTES;

	for (; line < from + len; line += FLUSH_LINE_BYTES)
		flush_line(line, way);
}

static inline void flush_fence(void)
{
	_mm_sfence();
}

/* flush_stream() - copy past the caches; to and len are multiples of a line. There after the next
 * flush_fence(). */
static inline void flush_stream(char *to, const char *from, size_t len)
{
	for (size_t at = 0; at < len; at += FLUSH_LINE_BYTES) {
		__m128i words[4];
		memcpy(words, from + at, sizeof(words));
		for (int i = 0; i < 4; i++)
			_mm_stream_si128((__m128i *)(to + at) + i, words[i]);
	}
}
