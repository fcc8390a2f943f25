#include "core/attention/attention.h"

#include <algorithm>

namespace keel {

const AttentionArg* AttentionCall::Find(absl::string_view name) const {
  for (const AttentionArg& arg : args) {
    if (arg.name == name) return &arg;
  }
  return nullptr;
}

bool AttentionUse::Has(absl::string_view name) const {
  return std::find(args.begin(), args.end(), name) != args.end();
}

}  // namespace keel
