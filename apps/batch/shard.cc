#include "apps/batch/shard.h"

#include <charconv>
#include <system_error>

namespace keel::apps {
namespace {

bool ReadNumber(const char* begin, const char* end, int64_t* number) {
  const auto [rest, error] = std::from_chars(begin, end, *number);
  return error == std::errc() && rest == end;
}

}  // namespace

Result<Shard> ParseShard(const std::string& text) {
  const size_t slash = text.find('/');
  const char* const end = text.data() + text.size();
  Shard shard;
  if (slash == std::string::npos || !ReadNumber(text.data(), text.data() + slash, &shard.index) ||
      !ReadNumber(text.data() + slash + 1, end, &shard.count) || shard.count < 1) {
    return Status(Code::kInvalidArgument,
                  "--shard is '" + text + "', expected I/N, as 0/4 is the first of four shards");
  }
  if (shard.index < 0 || shard.index >= shard.count) {
    const std::string count = std::to_string(shard.count);
    return Status(Code::kInvalidArgument, "--shard is '" + text + "', expected 0/" + count +
                                              " to " + std::to_string(shard.count - 1) + "/" +
                                              count);
  }
  return shard;
}

}  // namespace keel::apps
