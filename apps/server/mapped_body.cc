#include "apps/server/mapped_body.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace keel::apps {

int OpenUnnamedFile(const std::string& folder) {
  const int fd = open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (fd >= 0) return fd;
  // Not every file system knows such files.
  std::string path = folder + "/upload-XXXXXX";
  const int named = mkostemp(path.data(), O_CLOEXEC);
  if (named >= 0) unlink(path.c_str());
  return named;
}

std::shared_ptr<const MappedBody> MappedBody::Map(int fd) {
  struct stat info {};
  if (fstat(fd, &info) != 0) return nullptr;
  const auto size = static_cast<size_t>(info.st_size);
  void* data = nullptr;
  if (size > 0) {
    data = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (data == MAP_FAILED) return nullptr;
  }
  return std::shared_ptr<const MappedBody>(new MappedBody(data, size));
}

MappedBody::~MappedBody() {
  if (data_ != nullptr) munmap(data_, size_);
}

}  // namespace keel::apps
