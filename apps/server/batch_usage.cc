#include "apps/server/batch_usage.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "apps/batch/line_reader.h"
#include "apps/common/json_fields.h"
#include "boost/json/object.hpp"

namespace keel::apps {
namespace json = boost::json;
namespace {

constexpr size_t kMaxLineBytes = size_t{1} << 30;  // as OutputFile reads them

// The object at `key`; an empty one if there is none.
const json::object& Inner(const json::object& object, std::string_view key) {
  static const json::object kNone;
  const json::value* value = object.if_contains(json::string_view(key.data(), key.size()));
  return value == nullptr || !value->is_object() ? kNone : value->get_object();
}

// Endpoints call it prompt and completion, or input and output.
void Add(const json::object& usage, BatchUsage* sum) {
  sum->input += NumberField(usage, "prompt_tokens") + NumberField(usage, "input_tokens");
  sum->output += NumberField(usage, "completion_tokens") + NumberField(usage, "output_tokens");
  for (const char* key : {"prompt_tokens_details", "input_tokens_details"})
    sum->cached_input += NumberField(Inner(usage, key), "cached_tokens");
  for (const char* key : {"completion_tokens_details", "output_tokens_details"})
    sum->reasoning += NumberField(Inner(usage, key), "reasoning_tokens");
}

Result<BatchUsage> Sum(int fd, const std::string& path) {
  LineReader reader(fd, path, kMaxLineBytes);
  LineReader::Line line;
  BatchUsage sum;
  while (true) {
    const Result<LineReader::Next> next = reader.Read(&line);
    if (!next.ok()) return next.status();
    if (*next != LineReader::Next::kLine) return sum;
    const json::object object = ParseObject(std::string(line.text));
    Add(Inner(Inner(Inner(object, "response"), "body"), "usage"), &sum);
  }
}

}  // namespace

Result<BatchUsage> UsageOf(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return BatchUsage();
  Result<BatchUsage> sum = Sum(fd, path);
  close(fd);
  return sum;
}

}  // namespace keel::apps
