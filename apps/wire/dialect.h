// A wire protocol: where its calls arrive, how they are read, how they are answered and refused.
//
// To add one: a folder here that gives a Dialect, and a word in the list of apps/server/dialects.cc.
#ifndef KEEL_APPS_WIRE_DIALECT_H_
#define KEEL_APPS_WIRE_DIALECT_H_

#include <string_view>
#include <vector>

#include "apps/wire/call.h"
#include "apps/wire/call_error.h"
#include "boost/json/object.hpp"

namespace keel::apps {

// A body has fields that only this protocol's have.
using ClaimsBody = bool (*)(const boost::json::object& body);
// Reads a body into a valid call.
using ParseCall = MaybeError (*)(const boost::json::object& body, const CallContext& context,
                                 Call* call);

struct Dialect {
  struct Endpoint {
    std::string_view path;  // of a POST
    ParseCall parse;
    // Asked where several dialects have the path; null: it claims none.
    ClaimsBody claims = nullptr;
    // Reading a body may take seconds: its media are fetched and decoded for that.
    bool waits = false;
  };

  std::string_view name;
  std::vector<Endpoint> endpoints;
  ErrorForm error_form;
};

}  // namespace keel::apps

#endif  // KEEL_APPS_WIRE_DIALECT_H_
