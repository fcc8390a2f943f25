// Lists of OpenAI's API, in pages, and when what they list expires.
#ifndef KEEL_APPS_SERVER_LIST_PAGE_H_
#define KEEL_APPS_SERVER_LIST_PAGE_H_

#include <cstdint>
#include <string_view>
#include <vector>

#include "apps/server/query.h"
#include "apps/server/store/file_store.h"
#include "apps/wire/call_error.h"
#include "boost/json/object.hpp"

namespace keel::apps {

// Of "limit=2&after=ID&order=asc".
MaybeError ReadPage(std::string_view query, int64_t unset, int64_t most, Page* page);
// {"object": "list", "data", "first_id", "last_id", "has_more"}. `objects` may be one more than the page
// has.
boost::json::object ListJson(std::vector<boost::json::object> objects, const Page& page);
// {"anchor": "created_at", "seconds"}: an hour to 30 days.
MaybeError CheckExpiry(std::string_view anchor, int64_t seconds);

}  // namespace keel::apps

#endif  // KEEL_APPS_SERVER_LIST_PAGE_H_
