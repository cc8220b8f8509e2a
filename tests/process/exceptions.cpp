// Containers, streams and exceptions that are thrown through several frames, caught by type and
// kept, all the while.
#include <algorithm>
#include <deque>
#include <exception>
#include <iostream>
#include <list>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <unordered_map>
#include <vector>

struct Node {
	virtual ~Node() = default;
	virtual unsigned value() const = 0;
};
struct Leaf : Node {
	unsigned x;
	explicit Leaf(unsigned x) : x(x) {}
	unsigned value() const override { return x; }
};
struct Pair : Node {
	std::shared_ptr<Node> a, b;
	Pair(std::shared_ptr<Node> a, std::shared_ptr<Node> b) : a(std::move(a)), b(std::move(b)) {}
	unsigned value() const override { return a->value() * 31 + b->value(); }
};

static unsigned dive(unsigned depth, unsigned x)
{
	const std::string guard = std::to_string(x) + std::string(20, 'g');
	if (depth)
		return dive(depth - 1, x * 5 + 1) + static_cast<unsigned>(guard.size());
	if (x % 3 == 0)
		throw std::out_of_range(guard);
	if (x % 3 == 1)
		throw std::runtime_error(guard);
	return x;
}

int main()
{
	std::map<std::string, std::vector<unsigned>> ordered;
	std::unordered_map<unsigned, std::string> hashed;
	std::deque<std::shared_ptr<Node>> trees;
	std::list<std::exception_ptr> kept;
	unsigned caught = 0;

	for (unsigned step = 0; step < 60000; step++) {
		unsigned x = step * 2654435761u;
		ordered["key" + std::to_string(x % 5000)].push_back(step);
		hashed[x % 20000] += std::to_string(step % 10);
		trees.push_back(std::make_shared<Leaf>(x));
		if (trees.size() > 500) {
			trees.push_back(std::make_shared<Pair>(trees[0], trees[1]));
			trees.pop_front();
			trees.pop_front();
			if (step % 50 == 0)
				trees.resize(10, std::make_shared<Leaf>(step));
		}
		try {
			dive(6, step);
		} catch (const std::out_of_range &error) {
			caught += static_cast<unsigned>(std::string(error.what()).size());
			kept.push_back(std::current_exception());
		} catch (const std::exception &) {
			caught++;
		}
		if (kept.size() > 100) {
			try {
				std::rethrow_exception(kept.front());
			} catch (const std::logic_error &error) {
				caught += static_cast<unsigned>(error.what()[0]);
			}
			kept.pop_front();
		}
		if (step % 1000 == 0)
			std::cout << step << ' ' << caught << ' ' << trees.back()->value() << std::endl;
	}
	unsigned sum = 0;
	for (const auto &[key, steps] : ordered)
		sum = sum * 33 + static_cast<unsigned>(key.size() + steps.size() + steps.back());
	std::vector<std::string> all;
	for (const auto &[key, text] : hashed)
		all.push_back(std::to_string(key) + text);
	std::sort(all.begin(), all.end());
	for (const auto &text : all)
		sum = sum * 33 + static_cast<unsigned char>(text.back());
	std::cout << "sum " << sum << " caught " << caught << std::endl;
}
