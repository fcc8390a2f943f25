// A file of tables, by SQLite: what was changed stays, whatever ends the process.
#ifndef KEEL_APPS_SERVER_STORE_DATABASE_H_
#define KEEL_APPS_SERVER_STORE_DATABASE_H_

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "sdk/keel/engine.h"

struct sqlite3;

namespace keel::apps {

// All functions may be called from any thread.
class Database {
 public:
  using Value = std::variant<std::monostate, int64_t, std::string>;  // monostate: NULL
  using Rows = std::vector<std::vector<Value>>;

  // Makes the file if there is none, and keeps other processes out of it.
  static Result<std::unique_ptr<Database>> Open(const std::string& path);
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  // Runs one statement with values for its question marks.
  Result<Rows> Run(const std::string& sql, const std::vector<Value>& values = {});

  // What runs in its life happens as a whole, or not at all without Commit. Others wait.
  class Transaction {
   public:
    explicit Transaction(Database& database);
    ~Transaction();
    Transaction(const Transaction&) = delete;
    Transaction& operator=(const Transaction&) = delete;

    Status Commit();

   private:
    Database& database_;
    std::unique_lock<std::recursive_mutex> lock_;
    Status begun_;
    bool is_open_ = false;
  };

 private:
  struct Close {
    void operator()(sqlite3* handle) const;
  };

  Database(std::unique_ptr<sqlite3, Close> handle, std::string path)
      : handle_(std::move(handle)), path_(std::move(path)) {}
  Status Failed() const;

  const std::unique_ptr<sqlite3, Close> handle_;
  const std::string path_;
  std::recursive_mutex mutex_;  // a transaction holds it, and runs statements
};

// Of a row: what is NULL, or of another type, is nothing.
int64_t IntegerOf(const Database::Value& value);
std::string TextOf(const Database::Value& value);

}  // namespace keel::apps

#endif  // KEEL_APPS_SERVER_STORE_DATABASE_H_
