/*
 * heapsake for C++17: heapsake.h in the shape of objects. The manual is heapsake(3).
 *
 *     heapsake::root<std::map<int, std::string>> map("map");    // found again, or made
 *     {
 *             heapsake::tx tx;
 *             map->emplace(1, "one");
 *     }                                                         // committed here
 *
 * A tx commits at the end of its scope, and aborts when an exception leaves it: ranges that were
 * add()ed have their bytes back by the time of the catch, what was stored elsewhere stays. Memory
 * allocated is then freed by destructors, as with every exception, and not by the abort, for the
 * exception itself may have allocated it.
 *
 * The lock of what is add()ed stands around such a tx, not in it:
 *     std::lock_guard lock(mutex);
 *     heapsake::tx tx;
 * for what was made last is unmade first, and an abort must not put bytes back that are another
 * thread's by then.
 *
 * The containers of the standard library work unchanged, for their memory comes from malloc. What
 * of them an abort is to take back must be add()ed like everything else.
 */
#ifndef HEAPSAKE_HPP
#define HEAPSAKE_HPP

#include "heapsake.h"

#include <exception>
#include <new>
#include <string>
#include <system_error>
#include <utility>

namespace heapsake {

/* An error of heapsake.h (negative errno) as an exception. */
inline void check(int error, const char *what)
{
	if (error < 0)
		throw std::system_error(-error, std::generic_category(), what);
}

/* HSK_TX as an object. A local variable, never a member of something on the heap. */
class tx {
public:
	tx() : tx(0u)
	{
	}
	tx(const tx &) = delete;
	tx &operator=(const tx &) = delete;
	~tx()
	{
		if (std::uncaught_exceptions() > exceptions)
			hsk_unwind();
		hsk_tx_end(&block);
	}

	/* The object gets its bytes of now back if this is aborted. */
	template <class T> T &add(T &object)
	{
		check(hsk_add(&object, sizeof(object)), "hsk_add");
		return object;
	}
	void add(void *ptr, std::size_t len)
	{
		check(hsk_add(ptr, len), "hsk_add");
	}
	void abort() noexcept
	{
		hsk_abort();
	}

protected:
	explicit tx(unsigned flags) : block{nullptr, 1}, exceptions(std::uncaught_exceptions())
	{
		block.outer = hsk_tx_begin(&block, flags);
	}

private:
	::hsk_block block;
	int exceptions;
};

/* HSK_TX_DURABLE as an object; what became of it is told by hsk_status() after its end. */
class durable_tx : public tx {
public:
	durable_tx() : tx(HSK_TX_IS_DURABLE)
	{
	}
};

/* run() - f() in a transaction, and what it returns; durable(): and throw if it is not durable */
template <class F> decltype(auto) run(F &&f)
{
	tx scope;
	return std::forward<F>(f)();
}
template <class F> void durable(F &&f)
{
	{
		durable_tx scope;
		std::forward<F>(f)();
	}
	check(hsk_status(), "durable transaction");
}

/*
 * A named root: an object on the heap that the next run finds under its name. The type is yours to
 * remember; nothing compares it.
 */
template <class T> class root {
public:
	/* The object of that name; made with these arguments, in a transaction, if there is none. */
	template <class... Args> explicit root(const char *name, Args &&...args)
		: object(static_cast<T *>(hsk_root(name)))
	{
		if (object)
			return;
		tx scope;
		object = new T(std::forward<Args>(args)...);
		const int error = hsk_set_root(name, object);
		if (error) {
			delete object;
			check(error, name);
		}
	}
	T *get() const noexcept
	{
		return object;
	}
	T &operator*() const noexcept
	{
		return *object;
	}
	T *operator->() const noexcept
	{
		return object;
	}

	/* The object of that name, or nullptr. */
	static T *find(const char *name) noexcept
	{
		return static_cast<T *>(hsk_root(name));
	}
	/* Forget the name and destroy the object; nothing if there is none. */
	static void remove(const char *name)
	{
		T *found = find(name);
		if (!found)
			return;
		tx scope;
		check(hsk_set_root(name, nullptr), name);
		delete found;
	}

private:
	T *object;
};

inline void checkpoint(int timeout_ms = -1)
{
	check(hsk_checkpoint(timeout_ms), "hsk_checkpoint");
}
inline struct ::hsk_info info()
{
	struct ::hsk_info result{};
	result.size = sizeof(result);
	check(hsk_info(&result), "hsk_info");
	return result;
}

} // namespace heapsake
#endif
