/*
 * std::map and std::string that outlive the process: a program that counts the words of a book.
 *
 * The containers are the standard library's, unchanged. Where it stands in the book and what it
 * has counted change in one transaction, so every word is counted once, whenever it is killed.
 *
 * usage: words FILE
 */
#include <fstream>
#include <iostream>
#include <map>
#include <string>

#include "heapsake.hpp"

struct Book {
	std::map<std::string, long> count;
	std::string last_word;
	std::streamoff position = 0;
};

int main(int argc, char **argv)
{
	if (argc != 2) {
		std::cerr << "usage: words FILE\n";
		return 2;
	}
	heapsake::root<Book> book("book");
	std::ifstream file(argv[1]);

	std::cout << "# from byte " << book->position << " on, after '" << book->last_word << "'"
		  << std::endl;
	file.seekg(book->position);
	for (std::string word; file >> word;) {
		heapsake::tx tx;
		book->position += static_cast<std::streamoff>(word.size()) + 1;
		book->last_word = word;
		book->count[word]++;
	}
	for (const auto &[word, count] : book->count)
		std::cout << count << ' ' << word << '\n';
}
