#include "core/base/error_detail.h"

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"

namespace keel {
namespace {

std::string UrlOf(ErrorDetail detail) { return absl::StrCat("keel/", ErrorDetailName(detail)); }

}  // namespace

absl::string_view ErrorDetailName(ErrorDetail detail) {
  switch (detail) {
    case ErrorDetail::kField:
      return "field";
    case ErrorDetail::kFlag:
      return "flag";
    case ErrorDetail::kFile:
      return "file";
  }
  return "";
}

absl::Status WithDetail(absl::Status status, ErrorDetail detail, absl::string_view value) {
  const std::string url = UrlOf(detail);
  if (!status.ok() && !status.GetPayload(url).has_value())
    status.SetPayload(url, absl::Cord(value));
  return status;
}

std::string DetailOf(const absl::Status& status, ErrorDetail detail) {
  const auto value = status.GetPayload(UrlOf(detail));
  return value.has_value() ? std::string(*value) : "";
}

std::string BoundedMessage(const absl::Status& status) {
  constexpr size_t kMax = 4096, kEnd = 512;
  const absl::string_view message = status.message();
  if (message.size() <= kMax) return std::string(message);
  // Within a character neither may begin or end.
  const auto is_inside = [&](size_t i) { return (message[i] & 0xc0) == 0x80; };
  size_t begin = kMax - kEnd, end = message.size() - kEnd;
  while (begin > 0 && is_inside(begin)) --begin;
  while (end < message.size() && is_inside(end)) ++end;
  return absl::StrCat(message.substr(0, begin), " ... (", end - begin, " bytes left out) ... ",
                      message.substr(end));
}

}  // namespace keel
