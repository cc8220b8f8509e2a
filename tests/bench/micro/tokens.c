/*
 * Text cut into words, words kept, joined, dropped: strings as scripts and parsers handle them.
 *
 * usage: tokens PERCENT
 *
 * A seeded text is split line by line with strdup(), joined again through a growing buffer and
 * compared; the lines of a sliding window stay alive, so lifetimes are first-in first-out.
 */
#include "bench.h"

#define WINDOW 20000
#define MAX_WORDS 24

struct line {
	char **words;
	unsigned word_count;
};

static size_t text_print(char *buffer, struct bench_random *random)
{
	unsigned word_count = 1 + bench_below(random, MAX_WORDS);
	size_t len = 0;

	for (unsigned w = 0; w < word_count; w++) {
		unsigned letters = 1 + bench_below(random, 6) + bench_below(random, 7);

		for (unsigned i = 0; i < letters; i++)
			buffer[len++] = (char)('a' + bench_below(random, 26));
		buffer[len++] = ' ';
	}
	buffer[len - 1] = 0;
	return len - 1;
}

static void line_split(struct line *line, const char *text)
{
	char *copy = strdup(text), *rest = copy, *word;
	unsigned room = 0;

	bench_check(copy != NULL, "out of memory");
	*line = (struct line){0};
	while ((word = strsep(&rest, " "))) {
		if (line->word_count == room) {
			room = room ? room * 2 : 4;
			line->words = realloc(line->words, room * sizeof(*line->words));
			bench_check(line->words != NULL, "out of memory");
		}
		line->words[line->word_count] = strdup(word);
		bench_check(line->words[line->word_count++] != NULL, "out of memory");
	}
	free(copy);
}

static char *line_join(const struct line *line)
{
	char *text = NULL;
	size_t len = 0;

	for (unsigned w = 0; w < line->word_count; w++) {
		size_t word_len = strlen(line->words[w]);

		text = realloc(text, len + word_len + 1);
		bench_check(text != NULL, "out of memory");
		memcpy(text + len, line->words[w], word_len);
		len += word_len;
		text[len++] = ' ';
	}
	text[len - 1] = 0;
	return text;
}

static void line_free(struct line *line)
{
	for (unsigned w = 0; w < line->word_count; w++)
		free(line->words[w]);
	free(line->words);
}

int main(int argc, char **argv)
{
	unsigned long count = bench_scaled(argc, argv, 600000);
	static struct line window[WINDOW];
	struct bench_random random = {17};

	for (unsigned long n = 0; n < count; n++) {
		struct line *line = &window[n % WINDOW];
		char text[MAX_WORDS * 16];
		char *joined;

		line_free(line);
		text_print(text, &random);
		line_split(line, text);
		joined = line_join(line);
		bench_check(strcmp(text, joined) == 0, "a line lost words");
		free(joined);
	}
	for (unsigned i = 0; i < WINDOW; i++)
		line_free(&window[i]);
	return 0;
}
