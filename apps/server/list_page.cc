#include "apps/server/list_page.h"

#include <string>
#include <utility>

#include "apps/wire/fields.h"
#include "boost/json/array.hpp"

namespace keel::apps {
namespace json = boost::json;

MaybeError ReadPage(std::string_view query, int64_t unset, int64_t most, Page* page) {
  if (MaybeError error = ReadQueryNumber(query, "limit", 1, most, unset, &page->limit))
    return error;
  page->after = QueryValue(query, "after").value_or("");
  const std::string order = QueryValue(query, "order").value_or("desc");
  if (order != "asc" && order != "desc")
    return InvalidField("order", "order is " + Quote(order) + ", expected 'asc' or 'desc'");
  page->is_descending = order == "desc";
  return std::nullopt;
}

json::object ListJson(std::vector<json::object> objects, const Page& page) {
  const bool has_more = static_cast<int64_t>(objects.size()) > page.limit;
  if (has_more) objects.resize(static_cast<size_t>(page.limit));
  json::value first, last;
  if (!objects.empty()) {
    first = objects.front().at("id");
    last = objects.back().at("id");
  }
  json::array data;
  for (json::object& object : objects) data.push_back(std::move(object));
  return {{"object", "list"},
          {"data", std::move(data)},
          {"first_id", std::move(first)},
          {"last_id", std::move(last)},
          {"has_more", has_more}};
}

MaybeError CheckExpiry(std::string_view anchor, int64_t seconds) {
  constexpr int64_t kLeast = 3600, kMost = 30 * 24 * 3600;
  if (anchor != "created_at") {
    return InvalidField("expires_after.anchor",
                        "expires_after.anchor is " + Quote(anchor) + ", expected 'created_at'");
  }
  if (seconds < kLeast || seconds > kMost) {
    return InvalidField("expires_after.seconds", "expires_after.seconds is no number from " +
                                                     std::to_string(kLeast) + " to " +
                                                     std::to_string(kMost));
  }
  return std::nullopt;
}

}  // namespace keel::apps
