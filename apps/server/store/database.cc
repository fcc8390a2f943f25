#include "apps/server/store/database.h"

#include <sqlite3.h>

#include <utility>

namespace keel::apps {
namespace {

struct Finalize {
  void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
};
using Statement = std::unique_ptr<sqlite3_stmt, Finalize>;

void Bind(sqlite3_stmt* statement, int index, const Database::Value& value) {
  if (const auto* number = std::get_if<int64_t>(&value)) {
    sqlite3_bind_int64(statement, index, *number);
  } else if (const auto* text = std::get_if<std::string>(&value)) {
    sqlite3_bind_text64(statement, index, text->data(), text->size(), SQLITE_TRANSIENT,
                        SQLITE_UTF8);
  } else {
    sqlite3_bind_null(statement, index);
  }
}

Database::Value Column(sqlite3_stmt* statement, int index) {
  switch (sqlite3_column_type(statement, index)) {
    case SQLITE_INTEGER:
      return int64_t{sqlite3_column_int64(statement, index)};
    case SQLITE_TEXT: {
      const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(statement, index));
      return std::string(text, static_cast<size_t>(sqlite3_column_bytes(statement, index)));
    }
    default:
      return std::monostate();
  }
}

}  // namespace

void Database::Close::operator()(sqlite3* handle) const { sqlite3_close(handle); }

Result<std::unique_ptr<Database>> Database::Open(const std::string& path) {
  sqlite3* raw = nullptr;
  const int code =
      sqlite3_open_v2(path.c_str(), &raw,
                      SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_FULLMUTEX, nullptr);
  std::unique_ptr<sqlite3, Close> handle(raw);
  if (code != SQLITE_OK) {
    return Status(Code::kUnavailable, path + " cannot be opened: " + sqlite3_errstr(code));
  }
  std::unique_ptr<Database> database(new Database(std::move(handle), path));
  // One process at a time. The lock is taken with the first change, so that a second one is told now.
  for (const char* sql :
       {"PRAGMA locking_mode = EXCLUSIVE", "PRAGMA synchronous = FULL", "BEGIN EXCLUSIVE",
        "CREATE TABLE IF NOT EXISTS opened (at INTEGER)", "DELETE FROM opened",
        "INSERT INTO opened VALUES (unixepoch())", "COMMIT"}) {
    const Result<Rows> rows = database->Run(sql);
    if (!rows.ok()) return rows.status();
  }
  return database;
}

Database::~Database() = default;

Status Database::Failed() const {
  if (sqlite3_errcode(handle_.get()) == SQLITE_BUSY) {
    return Status(Code::kUnavailable, path_ + " is in use by another server");
  }
  return Status(Code::kUnavailable, path_ + ": " + sqlite3_errmsg(handle_.get()));
}

Result<Database::Rows> Database::Run(const std::string& sql, const std::vector<Value>& values) {
  std::lock_guard lock(mutex_);
  sqlite3_stmt* raw = nullptr;
  if (sqlite3_prepare_v2(handle_.get(), sql.c_str(), -1, &raw, nullptr) != SQLITE_OK) {
    return Failed();
  }
  const Statement statement(raw);
  for (size_t i = 0; i < values.size(); ++i) Bind(raw, static_cast<int>(i) + 1, values[i]);
  Rows rows;
  while (true) {
    const int code = sqlite3_step(raw);
    if (code == SQLITE_DONE) return rows;
    if (code != SQLITE_ROW) return Failed();
    std::vector<Value>& row = rows.emplace_back();
    for (int i = 0; i < sqlite3_column_count(raw); ++i) row.push_back(Column(raw, i));
  }
}

Database::Transaction::Transaction(Database& database)
    : database_(database), lock_(database.mutex_) {
  begun_ = database_.Run("BEGIN").status();
  is_open_ = begun_.ok();
}

Database::Transaction::~Transaction() {
  if (!is_open_) return;
  [[maybe_unused]] const Result<Rows> undone = database_.Run("ROLLBACK");
}

Status Database::Transaction::Commit() {
  if (!begun_.ok()) return begun_;
  Status status = database_.Run("COMMIT").status();
  is_open_ = !status.ok();
  return status;
}

int64_t IntegerOf(const Database::Value& value) {
  const auto* number = std::get_if<int64_t>(&value);
  return number == nullptr ? 0 : *number;
}

std::string TextOf(const Database::Value& value) {
  const auto* text = std::get_if<std::string>(&value);
  return text == nullptr ? "" : *text;
}

}  // namespace keel::apps
