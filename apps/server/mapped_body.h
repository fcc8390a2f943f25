// A body that is on the disk instead of in memory.
#ifndef KEEL_APPS_SERVER_MAPPED_BODY_H_
#define KEEL_APPS_SERVER_MAPPED_BODY_H_

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

namespace keel::apps {

// A file without a name in `folder`: its space is free again once nobody has it open or mapped. -1,
// and errno says why there is none.
int OpenUnnamedFile(const std::string& folder);

class MappedBody {
 public:
  // The whole file, which may be closed afterwards. Null, and errno says why it cannot be mapped.
  static std::shared_ptr<const MappedBody> Map(int fd);
  ~MappedBody();
  MappedBody(const MappedBody&) = delete;
  MappedBody& operator=(const MappedBody&) = delete;

  std::string_view view() const { return {static_cast<const char*>(data_), size_}; }

 private:
  MappedBody(void* data, size_t size) : data_(data), size_(size) {}

  void* const data_;  // null: the file is empty
  const size_t size_;
};

}  // namespace keel::apps

#endif  // KEEL_APPS_SERVER_MAPPED_BODY_H_
