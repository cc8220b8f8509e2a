/*
 * std::map<std::string, std::string>, as it is. Each step inserts, changes or erases an entry under
 * a word; a step that throws is undone by hand before the transaction ends, as in any C++ program.
 *
 * The map is ordered, has as many nodes as it says, and its digest is the one kept beside it.
 */
#include <map>
#include <string>

#include "heapsake.hpp"
#include "storm.h"

namespace {

using dictionary = std::map<std::string, std::string>;

struct book {
	dictionary words;
	uint64_t steps = 0;
	uint64_t digest = 0;
};

uint64_t digest_of(const std::string &word, const std::string &meaning)
{
	uint64_t sum = word.size();

	for (const unsigned char c : word)
		sum = storm_mix(sum, c);
	for (const unsigned char c : meaning)
		sum = storm_mix(sum, c);
	return sum;
}

std::string word_of(uint64_t dice)
{
	return "word-" + std::to_string(dice % 1500) + std::string(dice % 40, 'w');
}

void step(book &book)
{
	const uint64_t dice = storm_dice(4, book.steps);
	const std::string word = word_of(dice % 1500);
	const auto found = book.words.find(word);

	book.steps++;
	if (found != book.words.end())
		book.digest -= digest_of(word, found->second);
	storm_linger(dice);
	if (found != book.words.end() && dice >> 63) {
		book.words.erase(found);
		return;
	}
	std::string &meaning = book.words[word];
	meaning.append(std::to_string(dice));
	if (meaning.size() > 200)
		meaning = "anew";
	book.digest += digest_of(word, meaning);
}

void verify(const book &book)
{
	uint64_t sum = 0;
	size_t count = 0;
	const std::string *before = nullptr;

	for (const auto &[word, meaning] : book.words) {
		MUST(!before || *before < word);
		before = &word;
		sum += digest_of(word, meaning);
		count++;
	}
	MUST(count == book.words.size());
	MUST(sum == book.digest);
}

} // namespace

int main()
{
	auto *book_kept = static_cast<book *>(hsk_root("book"));

	if (!book_kept)
		HSK_TX {
			book_kept = new book;
			MUST(hsk_set_root("book", book_kept) == 0);
		}
	verify(*book_kept);
	storm_found(0, book_kept->steps);
	for (;;)
		STORM_BLOCK(0, book_kept->steps) { step(*book_kept); }
}
