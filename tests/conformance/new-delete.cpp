/*
 * C++17 [new.delete]: every form of new and delete goes through malloc and free.
 */
#include <cstdlib>
#include <memory>
#include <new>
#include <vector>

#include "must.h"

struct alignas(256) Wide {
	char bytes[300];
};

int main()
{
	int *one = new int(3);
	int *many = new int[1000];
	Wide *wide = new Wide;
	Wide *wides = new Wide[7];
	int *quiet = new (std::nothrow) int;
	Wide *quiet_wide = new (std::nothrow) Wide;
	MUST((uintptr_t)wide % 256 == 0 && (uintptr_t)wides % 256 == 0);
	MUST(*one == 3 && quiet && quiet_wide);
	delete one;
	delete[] many;
	delete wide;
	delete[] wides;
	delete quiet;
	delete quiet_wide;

	void *sized = ::operator new(50);
	::operator delete(sized, 50);
	void *aligned = ::operator new(50, std::align_val_t(64));
	::operator delete(aligned, 50, std::align_val_t(64));
	void *raw = ::operator new[](50);
	free(raw);

	try {
		::operator delete(::operator new(hide_size(SIZE_MAX / 2 + 1)));
	} catch (const std::bad_alloc &) {
		std::vector<std::shared_ptr<int>> v(1000, std::make_shared<int>(7));
		MUST(*v[999] == 7);
		return 0;
	}
	return 1;
}
