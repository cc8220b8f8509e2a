/*
 * C++ thread_local objects are destroyed with a working malloc, in every thread.
 */
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "must.h"

struct Holder {
	std::vector<std::string> words;
	~Holder()
	{
		words.emplace_back(5000, 'y');
		std::unique_ptr<char[]> p(new char[30]);
		MUST(words.size() == 101 && p);
	}
};

static thread_local Holder holder;

int main()
{
	for (int i = 0; i < 50; i++)
		std::thread([] { holder.words.assign(100, std::string(40, 'x')); }).join();
	holder.words.assign(100, "main");
}
