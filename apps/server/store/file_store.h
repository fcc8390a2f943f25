// Files that clients leave with the server, and those that batches make for them.
#ifndef KEEL_APPS_SERVER_STORE_FILE_STORE_H_
#define KEEL_APPS_SERVER_STORE_FILE_STORE_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "apps/server/store/database.h"
#include "sdk/keel/engine.h"

namespace keel::apps {

struct StoredFile {
  std::string id;
  std::string name;     // the client's
  std::string purpose;  // "batch", "batch_output"
  int64_t bytes = 0;
  int64_t created_at = 0;                  // seconds since 1970
  std::optional<int64_t> expires_at = {};  // seconds since 1970
};

// A page of a list, the newest first or last.
struct Page {
  int64_t limit = 20;
  std::string after = {};  // the id before the page; empty: none
  bool is_descending = true;
};

// Each file is one in the directory, called by its id, and a row of the database. All functions may be
// called from any thread.
class FileStore {
 public:
  // `max_bytes` is what all may take together; 0: any number. Makes the directory's table if there is
  // none. Both must outlive the store.
  static Result<std::unique_ptr<FileStore>> Create(Database& database, std::string folder,
                                                   int64_t max_bytes);

  // RESOURCE_EXHAUSTED: no room. The content is on the disk when it returns.
  Result<StoredFile> Add(std::string name, std::string purpose, std::string_view content,
                         std::optional<int64_t> expires_after_seconds);
  // NOT_FOUND: none, or it has expired.
  Result<StoredFile> Find(const std::string& id);
  // One more than the page has, if there is one.
  Result<std::vector<StoredFile>> List(const std::string& purpose, const Page& page);
  Status Remove(const std::string& id);

  // A file that is being written where PathOf says becomes one of the store.
  static std::string NewId();
  std::string PathOf(const std::string& id) const { return folder_ + "/" + id; }
  Result<StoredFile> Adopt(const std::string& id, std::string name, std::string purpose,
                           std::optional<int64_t> expires_after_seconds);

  // Removes those that have expired, but for `in_use`.
  Status RemoveExpired(const std::vector<std::string>& in_use);
  // Removes what is in the directory and in no row, as a kill leaves it, but for `in_use`.
  Status RemoveStrays(const std::vector<std::string>& in_use);

 private:
  FileStore(Database& database, std::string folder, int64_t max_bytes)
      : database_(database), folder_(std::move(folder)), max_bytes_(max_bytes) {}
  Status Insert(const StoredFile& file);

  Database& database_;
  const std::string folder_;
  const int64_t max_bytes_;
};

// Seconds since 1970.
int64_t Now();

}  // namespace keel::apps

#endif  // KEEL_APPS_SERVER_STORE_FILE_STORE_H_
