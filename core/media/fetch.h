// Getting media from the web, for somebody outside who names the address: only from hosts that the
// operator allows, only from public addresses, little and soon.
#ifndef KEEL_CORE_MEDIA_FETCH_H_
#define KEEL_CORE_MEDIA_FETCH_H_

#include <sys/socket.h>

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core/media/address.h"

namespace keel {

struct FetchOptions {
  std::vector<std::string> allowed_domains;  // host names as URLs have them, whole; none: nothing
  int64_t max_bytes = 64 << 20;
  absl::Duration time_limit = absl::Seconds(10);  // of all of it, redirects too
  int max_redirects = 3;                          // each to an allowed domain again
  // Asked for each address before it is connected to, after its name was resolved.
  bool (*is_allowed_address)(const sockaddr& address) = IsPublicAddress;
};

// The body of what http or https `url` gives. No proxy, cookies, credentials or compression.
// Thread-safe; waits. kInvalidArgument: no such URL; kPermissionDenied: a host or an address that is
// not allowed; kResourceExhausted: too large; kDeadlineExceeded; kUnavailable: the host does not give
// it. Errors don't repeat `url`.
absl::StatusOr<std::string> Fetch(const std::string& url, const FetchOptions& options);

}  // namespace keel

#endif  // KEEL_CORE_MEDIA_FETCH_H_
