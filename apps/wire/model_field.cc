#include "apps/wire/model_field.h"

#include <algorithm>
#include <iterator>
#include <string_view>

#include "apps/wire/fields.h"

namespace keel::apps {
namespace {

constexpr size_t kMostNames = 20;  // in a message

// What text-generation and huggingface_hub say of a server whose address is all they were told.
constexpr std::string_view kMadeUp[] = {"tgi", "dummy"};

std::string List(const std::vector<std::string>& names) {
  std::string text;
  for (size_t i = 0; i < std::min(names.size(), kMostNames); ++i) {
    text += (i == 0 ? "" : ", ") + Quote(names[i]);
  }
  return names.size() > kMostNames ? text + " and more" : text;
}

}  // namespace

MaybeError ReadModelName(const boost::json::object& body, const std::vector<std::string>& names,
                         std::string* name) {
  Fields fields(body);
  *name = fields.String("model").value_or(names.front());
  if (!fields.ok()) return fields.error();
  if (std::find(names.begin(), names.end(), *name) != names.end()) return std::nullopt;
  if (std::find(std::begin(kMadeUp), std::end(kMadeUp), *name) != std::end(kMadeUp)) {
    *name = names.front();
    return std::nullopt;
  }
  return CallError{
      .code = ErrorCode::kModelNotFound,
      .message = "model " + Quote(*name) + " is not served; this server has " + List(names),
      .field = "model"};
}

}  // namespace keel::apps
