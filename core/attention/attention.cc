#include "core/attention/attention.h"

#include <algorithm>
#include <memory>

namespace keel {
namespace {

class HostInstance : public AttentionInstance {
 public:
  explicit HostInstance(const HostAttention& attention) : attention_(attention) {}
  absl::Status Run(const AttentionCall& call) override { return attention_.Run(call); }

 private:
  const HostAttention& attention_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<AttentionInstance>> HostAttention::Prepare(
    const AttentionUse& /*use*/) const {
  return std::make_unique<HostInstance>(*this);
}

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
