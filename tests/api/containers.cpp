/*
 * DESIGN 1.3: existing containers persist unchanged; heapsake.hpp commits at scope end and aborts
 * on an exception.
 *
 * with: HEAPSAKE_INTERVAL=0
 * run: make => signal SIGKILL
 * run: look
 * inert: make
 */
#include <cstdio>
#include <map>
#include <stdexcept>
#include <string>

#include "heapsake.hpp"
#include "step.h"

using Map = std::map<std::string, std::string>;

struct Account {
	long balance = 100;
};

static void withdraw(Account &account, long amount)
{
	heapsake::tx tx;

	tx.add(account);
	account.balance -= amount;
	if (account.balance < 0)
		throw std::runtime_error("too much");
}

static void make()
{
	heapsake::root<Map> map("map");
	heapsake::root<Account> account("account");
	bool is_caught = false;

	MUST(map->empty());
	{
		heapsake::tx tx;
		for (int i = 0; i < 1000; i++)
			map->emplace(std::to_string(i), std::string(static_cast<size_t>(i), 'x'));
	}
	withdraw(*account, 30);
	try {
		withdraw(*account, 90);
	} catch (const std::runtime_error &) {
		is_caught = true;
		MUST(account->balance == 70);
	}
	MUST(is_caught);
	try {
		heapsake::durable([&] { map->erase("500"); });
	} catch (const std::system_error &error) {
		MUST(error.code().value() == ENODEV);
		return;
	}
	step_kill();
}

static void look()
{
	heapsake::root<Map> map("map");

	MUST(heapsake::root<Account>::find("account")->balance == 70);
	MUST(map->size() == 999 && map->count("500") == 0);
	for (const auto &[key, value] : *map)
		MUST(value == std::string(static_cast<size_t>(std::stoi(key)), 'x'));
	heapsake::root<Map>::remove("map");
	MUST(heapsake::root<Map>::find("map") == nullptr);
	MUST(heapsake::info().resumed == 1);
}

int main(int argc, char **argv)
{
	step_begin(argc, argv);
	if (step_is("make"))
		make();
	else
		look();
	return 0;
}
