#include "apps/server/store/file_store.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <variant>

#include "apps/common/request_id.h"

namespace keel::apps {
namespace fs = std::filesystem;
namespace {

constexpr std::string_view kPrefix = "file-";
constexpr char kColumns[] = "id, name, purpose, bytes, created_at, expires_at";

StoredFile FileOf(const std::vector<Database::Value>& row) {
  StoredFile file{.id = TextOf(row[0]),
                  .name = TextOf(row[1]),
                  .purpose = TextOf(row[2]),
                  .bytes = IntegerOf(row[3]),
                  .created_at = IntegerOf(row[4])};
  if (!std::holds_alternative<std::monostate>(row[5])) file.expires_at = IntegerOf(row[5]);
  return file;
}

Status Failed(const std::string& path) {
  return Status(Code::kUnavailable, path + " cannot be written: " + std::strerror(errno));
}

// The whole file is there, or none.
Status WriteFile(const std::string& path, std::string_view content) {
  const std::string part = path + ".part";
  const int fd = open(part.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) return Failed(part);
  bool ok = true;
  while (ok && !content.empty()) {
    const ssize_t n = write(fd, content.data(), content.size());
    ok = n >= 0 || errno == EINTR;
    content.remove_prefix(n > 0 ? static_cast<size_t>(n) : 0);
  }
  ok = ok && fsync(fd) == 0;
  Status status = ok ? Status() : Failed(part);
  close(fd);
  if (ok && rename(part.c_str(), path.c_str()) != 0) status = Failed(path);
  if (!status.ok()) unlink(part.c_str());
  return status;
}

bool Has(const std::vector<std::string>& ids, const std::string& id) {
  return std::find(ids.begin(), ids.end(), id) != ids.end();
}

}  // namespace

int64_t Now() {
  using std::chrono::system_clock;
  return std::chrono::duration_cast<std::chrono::seconds>(system_clock::now().time_since_epoch())
      .count();
}

Result<std::unique_ptr<FileStore>> FileStore::Create(Database& database, std::string folder,
                                                     int64_t max_bytes) {
  const auto made = database.Run(
      "CREATE TABLE IF NOT EXISTS files (number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT UNIQUE, "
      "name TEXT, purpose TEXT, bytes INTEGER, created_at INTEGER, expires_at INTEGER)");
  if (!made.ok()) return made.status();
  return std::unique_ptr<FileStore>(new FileStore(database, std::move(folder), max_bytes));
}

std::string FileStore::NewId() { return std::string(kPrefix) + NewRequestId(); }

Result<StoredFile> FileStore::Add(std::string name, std::string purpose, std::string_view content,
                                  std::optional<int64_t> expires_after_seconds) {
  const auto sum = database_.Run("SELECT sum(bytes) FROM files");
  if (!sum.ok()) return sum.status();
  const int64_t used = IntegerOf((*sum)[0][0]), bytes = static_cast<int64_t>(content.size());
  if (max_bytes_ > 0 && used + bytes > max_bytes_) {
    return Status(Code::kResourceExhausted,
                  "the file has " + std::to_string(bytes) + " bytes and the others " +
                      std::to_string(used) + ", together more than --max-files-bytes allows (" +
                      std::to_string(max_bytes_) + "); delete some first");
  }
  const std::string id = NewId();
  if (Status status = WriteFile(PathOf(id), content); !status.ok()) return status;
  return Adopt(id, std::move(name), std::move(purpose), expires_after_seconds);
}

Result<StoredFile> FileStore::Adopt(const std::string& id, std::string name, std::string purpose,
                                    std::optional<int64_t> expires_after_seconds) {
  std::error_code error;
  StoredFile file{.id = id,
                  .name = std::move(name),
                  .purpose = std::move(purpose),
                  .bytes = static_cast<int64_t>(fs::file_size(PathOf(id), error)),
                  .created_at = Now()};
  if (error) return Status(Code::kUnavailable, PathOf(id) + ": " + error.message());
  if (expires_after_seconds.has_value()) file.expires_at = file.created_at + *expires_after_seconds;
  if (Status status = Insert(file); !status.ok()) return status;
  return file;
}

Status FileStore::Insert(const StoredFile& file) {
  std::vector<Database::Value> values = {file.id, file.name, file.purpose, file.bytes,
                                         file.created_at};
  values.emplace_back();
  if (file.expires_at.has_value()) values.back() = *file.expires_at;
  return database_
      .Run(std::string("INSERT INTO files (") + kColumns + ") VALUES (?, ?, ?, ?, ?, ?)", values)
      .status();
}

Result<StoredFile> FileStore::Find(const std::string& id) {
  const auto rows = database_.Run(std::string("SELECT ") + kColumns +
                                      " FROM files WHERE id = ? AND (expires_at IS NULL OR "
                                      "expires_at > ?)",
                                  {id, Now()});
  if (!rows.ok()) return rows.status();
  if (rows->empty()) {
    return Status(Code::kNotFound, "there is no file '" + id + "', or it has expired");
  }
  return FileOf(rows->front());
}

Result<std::vector<StoredFile>> FileStore::List(const std::string& purpose, const Page& page) {
  const std::string order = page.is_descending ? "DESC" : "ASC";
  const auto rows = database_.Run(
      std::string("SELECT ") + kColumns +
          " FROM files WHERE (? = '' OR purpose = ?) AND (expires_at IS NULL OR expires_at > ?) "
          "AND (? = '' OR number " +
          (page.is_descending ? "<" : ">") +
          " (SELECT number FROM files WHERE id = ?)) ORDER BY number " + order + " LIMIT ?",
      {purpose, purpose, Now(), page.after, page.after, page.limit + 1});
  if (!rows.ok()) return rows.status();
  std::vector<StoredFile> files;
  for (const auto& row : *rows) files.push_back(FileOf(row));
  return files;
}

Status FileStore::Remove(const std::string& id) {
  // The row first: what is left of a file without one is removed at the next start.
  const auto rows = database_.Run("DELETE FROM files WHERE id = ?", {id});
  if (rows.ok()) unlink(PathOf(id).c_str());
  return rows.status();
}

Status FileStore::RemoveExpired(const std::vector<std::string>& in_use) {
  const auto rows = database_.Run("SELECT id FROM files WHERE expires_at <= ?", {Now()});
  if (!rows.ok()) return rows.status();
  for (const auto& row : *rows) {
    if (Has(in_use, TextOf(row[0]))) continue;
    if (Status status = Remove(TextOf(row[0])); !status.ok()) return status;
  }
  return Status();
}

Status FileStore::RemoveStrays(const std::vector<std::string>& in_use) {
  const auto rows = database_.Run("SELECT id FROM files");
  if (!rows.ok()) return rows.status();
  std::vector<std::string> known = in_use;
  for (const auto& row : *rows) known.push_back(TextOf(row[0]));
  std::sort(known.begin(), known.end());
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder_, error)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with(kPrefix)) continue;  // not ours
    if (!std::binary_search(known.begin(), known.end(), name)) unlink(entry.path().c_str());
  }
  return Status();
}

}  // namespace keel::apps
