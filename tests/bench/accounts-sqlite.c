/*
 * Accounts in a table of SQLite with a write-ahead log and prepared statements. kind: full
 * (synchronous=FULL: a commit is durable when it returns) or normal (it is when the log is moved into
 * the database).
 */
#include <sqlite3.h>

#include "accounts.h"
#include "micro/bench.h"

static sqlite3 *database;
static sqlite3_stmt *begin, *commit, *insert, *add;

static void must(int status)
{
	bench_check(status == SQLITE_OK || status == SQLITE_DONE || status == SQLITE_ROW,
		    sqlite3_errmsg(database));
}

static void execute(const char *sql)
{
	must(sqlite3_exec(database, sql, NULL, NULL, NULL));
}

static sqlite3_stmt *prepare(const char *sql)
{
	sqlite3_stmt *statement;

	must(sqlite3_prepare_v3(database, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, NULL));
	return statement;
}

void accounts_open(const char *kind, const char *path)
{
	must(sqlite3_open(path, &database));
	execute("PRAGMA journal_mode=WAL; PRAGMA cache_size=-262144");
	execute(strcmp(kind, "full") == 0 ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=NORMAL");
	execute("CREATE TABLE accounts (id INTEGER PRIMARY KEY, balance INTEGER, holder TEXT)");
	begin = prepare("BEGIN IMMEDIATE");
	commit = prepare("COMMIT");
	insert = prepare("INSERT INTO accounts VALUES (?1, ?2, 'somebody of that name, and an address')");
	add = prepare("UPDATE accounts SET balance = balance + ?2 WHERE id = ?1");
}

static void run(sqlite3_stmt *statement)
{
	must(sqlite3_step(statement));
	must(sqlite3_reset(statement));
}

static void run_with(sqlite3_stmt *statement, uint64_t id, int64_t amount)
{
	must(sqlite3_bind_int64(statement, 1, (sqlite3_int64)id));
	must(sqlite3_bind_int64(statement, 2, amount));
	run(statement);
}

void accounts_transact(void (*work)(void *context), void *context)
{
	run(begin);
	work(context);
	run(commit);
}

void accounts_insert(uint64_t id)
{
	run_with(insert, id, ACCOUNTS_BALANCE);
}

void accounts_move(uint64_t from, uint64_t to, int64_t amount)
{
	run_with(add, from, -amount);
	run_with(add, to, amount);
}

int64_t accounts_total(uint64_t count)
{
	sqlite3_stmt *sum = prepare("SELECT sum(balance), count(*) FROM accounts");

	must(sqlite3_step(sum));
	const int64_t total = sqlite3_column_int64(sum, 0);
	bench_check((uint64_t)sqlite3_column_int64(sum, 1) == count, "an account is gone");
	sqlite3_finalize(sum);
	return total;
}

void accounts_close(void)
{
	sqlite3_finalize(begin);
	sqlite3_finalize(commit);
	sqlite3_finalize(insert);
	sqlite3_finalize(add);
	sqlite3_close(database);
}
