#include "core/attention/attention.h"

#include <algorithm>

namespace keel {

const NamedArg* FindArg(absl::Span<const NamedArg> args, absl::string_view name) {
  for (const NamedArg& arg : args) {
    if (arg.name == name) return &arg;
  }
  return nullptr;
}

bool AttentionUse::Has(absl::string_view name) const {
  return std::find(args.begin(), args.end(), name) != args.end();
}

}  // namespace keel
