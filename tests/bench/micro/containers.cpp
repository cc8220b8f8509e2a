/*
 * The standard containers: operator new and delete by way of maps, strings, vectors, deques.
 *
 * usage: containers PERCENT
 *
 * Each round fills every container with strings (half of them too long for the small-string
 * buffer), erases some, copies one whole and drops all. Node sizes are the library's, not ours.
 */
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

namespace
{
uint64_t random_state = 41;

uint64_t random_number()
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

void check(bool is_right, const char *what)
{
	if (is_right)
		return;
	std::fprintf(stderr, "bench: wrong: %s\n", what);
	std::exit(1);
}

std::string make_string(uint64_t number)
{
	return std::string(number % 40, static_cast<char>('a' + number % 26)) +
	       std::to_string(number % 100000);
}

void fill_ordered(unsigned count)
{
	std::map<uint64_t, std::string> map;
	std::size_t erased = 0;

	for (unsigned i = 0; i < count; i++) {
		uint64_t number = random_number();
		map.emplace(number, make_string(number));
	}
	for (auto at = map.begin(); at != map.end();) {
		check(at->second == make_string(at->first), "a map lost its value");
		if (at->first % 3 == 0) {
			at = map.erase(at);
			erased++;
		} else {
			++at;
		}
	}
	std::map<uint64_t, std::string> copy = map;
	check(copy.size() + erased == count, "a map lost entries");
}

void fill_unordered(unsigned count)
{
	std::unordered_map<std::string, std::vector<unsigned>> index;
	std::size_t total = 0;

	for (unsigned i = 0; i < count; i++)
		index[make_string(random_number() % (count / 4))].push_back(i);
	for (const auto &[word, places] : index)
		total += places.size();
	check(total == count, "an index lost places");
}

void fill_queue(unsigned count)
{
	std::deque<std::unique_ptr<std::string>> queue;
	std::size_t taken = 0;

	for (unsigned i = 0; i < count; i++) {
		queue.push_back(std::make_unique<std::string>(make_string(i)));
		if (queue.size() > 1000) {
			check(*queue.front() == make_string(i - 1000),
			      "a queue lost its order");
			queue.pop_front();
			taken++;
		}
	}
	check(taken + queue.size() == count, "a queue lost entries");
}

void sort_strings(unsigned count)
{
	std::vector<std::string> strings;
	std::multimap<std::size_t, std::string> by_length;

	for (unsigned i = 0; i < count; i++)
		strings.push_back(make_string(random_number()));
	for (auto &string : strings)
		by_length.emplace(string.size(), std::move(string));
	check(by_length.size() == count, "a multimap lost entries");
}
} // namespace

int main(int argc, char **argv)
{
	unsigned percent = argc > 1 ? static_cast<unsigned>(std::atoi(argv[1])) : 100;
	unsigned count = 80000 * percent / 100 + 100;

	for (unsigned round = 0; round < 5; round++) {
		fill_ordered(count);
		fill_unordered(count);
		fill_queue(count * 2);
		sort_strings(count);
	}
	return 0;
}
