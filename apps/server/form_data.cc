#include "apps/server/form_data.h"

#include <algorithm>
#include <cctype>
#include <optional>
#include <utility>

#include "apps/common/utf8.h"

namespace keel::apps {
namespace {

constexpr size_t kMaxFields = 100, kMaxBoundary = 70;

CallError Bad(const std::string& what) { return InvalidField("", "the body " + what); }

bool EqualsIgnoringCase(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](unsigned char x, unsigned char y) {
    return std::tolower(x) == std::tolower(y);
  });
}

std::string_view Trim(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \t");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t") - begin + 1);
}

// A value with quotes or without. In quotes, as browsers write it, a quote is %22 or behind a "\".
std::string Unquote(std::string_view text, size_t* end) {
  if (!text.starts_with('"')) {
    *end = std::min(text.find(';'), text.size());
    return std::string(Trim(text.substr(0, *end)));
  }
  std::string value;
  size_t i = 1;
  for (; i < text.size() && text[i] != '"'; ++i) {
    if (text[i] == '\\' && i + 1 < text.size() && (text[i + 1] == '"' || text[i + 1] == '\\')) ++i;
    value += text[i];
  }
  *end = std::min(text.find(';', i), text.size());
  return value;
}

// `key` of a header's value: "form-data; name=\"file\"; filename=\"a.jsonl\"".
std::optional<std::string> Parameter(std::string_view header, std::string_view key) {
  size_t at = header.find(';');
  while (at < header.size()) {
    const std::string_view rest = header.substr(at + 1);
    const size_t equals = rest.find('=');
    if (equals == std::string_view::npos) break;
    size_t end = 0;
    std::string value = Unquote(rest.substr(equals + 1), &end);
    if (EqualsIgnoringCase(Trim(rest.substr(0, equals)), key)) return value;
    at += 1 + equals + 1 + end;
  }
  return std::nullopt;
}

// The headers of a part, up to their empty line; nothing of one without.
std::optional<std::string_view> TakeHeaders(std::string_view* part) {
  if (part->starts_with("\r\n")) {
    part->remove_prefix(2);
    return std::string_view();
  }
  const size_t end = part->find("\r\n\r\n");
  if (end == std::string_view::npos) return std::nullopt;
  const std::string_view headers = part->substr(0, end + 2);
  part->remove_prefix(end + 4);
  return headers;
}

std::optional<FormField> FieldOf(std::string_view part) {
  std::optional<std::string_view> headers = TakeHeaders(&part);
  while (headers.has_value() && !headers->empty()) {
    const size_t end = headers->find("\r\n");
    const std::string_view header = headers->substr(0, end);
    headers->remove_prefix(end + 2);
    const size_t colon = header.find(':');
    if (colon == std::string_view::npos ||
        !EqualsIgnoringCase(header.substr(0, colon), "content-disposition"))
      continue;
    const std::optional<std::string> name = Parameter(header, "name");
    if (!name.has_value()) return std::nullopt;
    return FormField{.name = *name,
                     .filename = ToUtf8(Parameter(header, "filename").value_or("")),
                     .content = part};
  }
  return std::nullopt;
}

}  // namespace

MaybeError ParseFormData(std::string_view content_type, std::string_view body,
                         std::vector<FormField>* fields) {
  const std::string_view type = Trim(content_type.substr(0, content_type.find(';')));
  const std::optional<std::string> boundary = Parameter(content_type, "boundary");
  if (!EqualsIgnoringCase(type, "multipart/form-data") || !boundary.has_value() ||
      boundary->empty() || boundary->size() > kMaxBoundary) {
    return Bad("is of type '" + ToUtf8(content_type.substr(0, 100)) +
               "', expected multipart/form-data with a boundary");
  }
  const std::string mark = "\r\n--" + *boundary;
  // The first mark may be without its line's end, at the beginning.
  size_t at = 0;
  if (!body.starts_with(std::string_view(mark).substr(2))) {
    at = body.find(mark);
    if (at == std::string_view::npos) return Bad("has no part");
    at += 2;
  }
  at += mark.size() - 2;
  while (!body.substr(at).starts_with("--")) {
    const size_t line_end = body.find("\r\n", at);
    const size_t next = line_end == std::string_view::npos ? line_end : body.find(mark, line_end);
    if (next == std::string_view::npos) return Bad("ends within a part");
    // A part without content has one line's end before the mark, which is that of its headers.
    const std::string_view part =
        body.substr(line_end + 2, next < line_end + 2 ? 0 : next - line_end - 2);
    std::optional<FormField> field = FieldOf(part);
    if (!field.has_value()) return Bad("has a part without Content-Disposition and name");
    if (fields->size() == kMaxFields) return Bad("has more than 100 parts");
    fields->push_back(*std::move(field));
    at = next + mark.size();
  }
  return std::nullopt;
}

}  // namespace keel::apps
