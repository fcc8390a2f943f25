#include "core/compile/pass.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/status.h"
#include "core/compile/passes.h"

namespace keel::ir {

absl::Span<const Pass> Passes() {
  static constexpr Pass kPasses[] = {
      {"fold-constants", FoldConstants},  {"gather-early", GatherEarly},
      {"group-linears", GroupLinears},    {"fuse-residual", FuseResidual},
      {"fuse-add-norm", FuseAddNorm},     {"fuse-act-mul", FuseActMul},
      {"split-mixtures", SplitMixtures},  {"paged-attention", PagedAttention},
      {"fuse-rope-write", FuseRopeWrite}, {"remove-dead", RemoveDead},
  };
  return kPasses;
}

absl::Status CheckPassNames(absl::Span<const std::string> names) {
  for (const std::string& name : names) {
    const auto passes = Passes();
    if (std::any_of(passes.begin(), passes.end(), [&](const Pass& p) { return p.name == name; }))
      continue;
    return absl::InvalidArgumentError(absl::StrCat(
        "no pass is named '", name, "'; there are ",
        absl::StrJoin(passes, ", ", [](std::string* out, const Pass& p) { out->append(p.name); })));
  }
  return absl::OkStatus();
}

absl::Status RunPasses(absl::Span<const std::string> disabled, OpRunner& ops, Function& function) {
  KEEL_RETURN_IF_ERROR(CheckPassNames(disabled));
  for (const Pass& pass : Passes()) {
    if (std::find(disabled.begin(), disabled.end(), pass.name) != disabled.end()) continue;
    KEEL_RETURN_IF_ERROR(Annotate(pass.run(function, ops), pass.name));
  }
  return absl::OkStatus();
}

}  // namespace keel::ir
