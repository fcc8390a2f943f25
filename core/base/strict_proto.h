// Protobuf messages from outside.
#ifndef KEEL_CORE_BASE_STRICT_PROTO_H_
#define KEEL_CORE_BASE_STRICT_PROTO_H_

#include <google/protobuf/message.h>

#include <cstdint>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace keel {

// Parses `bytes` into `out`. Messages are counted before any is made, for an empty one takes two
// bytes of the input and a hundred of memory. A field that the schema does not know, at any depth,
// is an error: what it says would be lost. kInvalidArgument says what is wrong; `out` is then
// undefined.
absl::Status ParseStrict(absl::string_view bytes, int64_t max_messages,
                         google::protobuf::Message* out);

}  // namespace keel

#endif  // KEEL_CORE_BASE_STRICT_PROTO_H_
