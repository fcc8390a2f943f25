#include "apps/server/store/batch_store.h"

#include <utility>

#include "apps/common/request_id.h"

namespace keel::apps {
namespace {

Result<std::vector<Batch>> BatchesOf(const Result<Database::Rows>& rows) {
  if (!rows.ok()) return rows.status();
  std::vector<Batch> batches;
  for (const auto& row : *rows) {
    Result<Batch> batch = LoadBatch(TextOf(row[0]));
    if (!batch.ok()) return batch.status();
    batches.push_back(*std::move(batch));
  }
  return batches;
}

}  // namespace

Result<std::unique_ptr<BatchStore>> BatchStore::Create(Database& database) {
  const auto made = database.Run(
      "CREATE TABLE IF NOT EXISTS batches (number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT "
      "UNIQUE, has_ended INTEGER, body TEXT)");
  if (!made.ok()) return made.status();
  return std::unique_ptr<BatchStore>(new BatchStore(database));
}

Status BatchStore::Add(Batch* batch) {
  batch->id = "batch_" + NewRequestId();
  return database_
      .Run("INSERT INTO batches (id, has_ended, body) VALUES (?, ?, ?)",
           {batch->id, int64_t{HasEnded(batch->status)}, SaveBatch(*batch)})
      .status();
}

Result<Batch> BatchStore::Find(const std::string& id) {
  Result<std::vector<Batch>> found =
      BatchesOf(database_.Run("SELECT body FROM batches WHERE id = ?", {id}));
  if (!found.ok()) return found.status();
  if (found->empty()) return Status(Code::kNotFound, "there is no batch '" + id + "'");
  return std::move(found->front());
}

Result<std::vector<Batch>> BatchStore::List(const Page& page) {
  return BatchesOf(
      database_.Run(std::string("SELECT body FROM batches WHERE (? = '' OR number ") +
                        (page.is_descending ? "<" : ">") +
                        " (SELECT number FROM batches WHERE id = ?)) ORDER BY number " +
                        (page.is_descending ? "DESC" : "ASC") + " LIMIT ?",
                    {page.after, page.after, page.limit + 1}));
}

Result<std::vector<Batch>> BatchStore::Unfinished() {
  return BatchesOf(database_.Run("SELECT body FROM batches WHERE NOT has_ended ORDER BY number"));
}

Result<Batch> BatchStore::Change(const std::string& id, const std::function<Status(Batch&)>& fn) {
  Database::Transaction transaction(database_);
  Result<Batch> batch = Find(id);
  if (!batch.ok()) return batch.status();
  Status status = fn(*batch);
  if (status.ok()) {
    status = database_
                 .Run("UPDATE batches SET has_ended = ?, body = ? WHERE id = ?",
                      {int64_t{HasEnded(batch->status)}, SaveBatch(*batch), id})
                 .status();
  }
  if (status.ok()) status = transaction.Commit();
  if (!status.ok()) return status;
  return batch;
}

}  // namespace keel::apps
