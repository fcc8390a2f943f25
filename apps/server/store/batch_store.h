// The batches of a server, in the order in which they came.
#ifndef KEEL_APPS_SERVER_STORE_BATCH_STORE_H_
#define KEEL_APPS_SERVER_STORE_BATCH_STORE_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "apps/server/store/batch.h"
#include "apps/server/store/database.h"
#include "apps/server/store/file_store.h"
#include "sdk/keel/engine.h"

namespace keel::apps {

// All functions may be called from any thread.
class BatchStore {
 public:
  // `database` must outlive the store.
  static Result<std::unique_ptr<BatchStore>> Create(Database& database);

  // Gives it an id.
  Status Add(Batch* batch);
  // NOT_FOUND: there is none.
  Result<Batch> Find(const std::string& id);
  // One more than the page has, if there is one.
  Result<std::vector<Batch>> List(const Page& page);
  // Those that have not ended, the oldest first.
  Result<std::vector<Batch>> Unfinished();
  // Changes a batch by `fn`, as a whole or, if that fails, not at all; returns what it is now. What `fn`
  // does to the database is part of it.
  Result<Batch> Change(const std::string& id, const std::function<Status(Batch&)>& fn);

 private:
  explicit BatchStore(Database& database) : database_(database) {}

  Database& database_;
};

}  // namespace keel::apps

#endif  // KEEL_APPS_SERVER_STORE_BATCH_STORE_H_
