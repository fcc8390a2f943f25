// Whether a model declares what its checkpoint holds.
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "core/attention/registry.h"
#include "core/base/file.h"
#include "core/checkpoint/checkpoint.h"
#include "core/conformance/numeric_checks.h"
#include "core/conformance/subject.h"
#include "core/exec/executor.h"
#include "core/graph/stages.h"

namespace keel::conformance {
namespace {

bool HasWeights(const std::string& dir) {
  return IsRegularFile(JoinPath(dir, "model.safetensors")) ||
         IsRegularFile(JoinPath(dir, "model.safetensors.index.json"));
}

// Opens the checkpoint as a host does; its tensors are mapped, not read, where their type is the
// model's.
Finding Load(const ModelUnderTest& model, const Stages& stages) {
  absl::StatusOr<std::unique_ptr<Checkpoint>> checkpoint = Checkpoint::Open(model.dir);
  if (!checkpoint.ok()) return Skip(std::string(checkpoint.status().message()));
  ExecutorOptions options;
  if (!(*checkpoint)->names().empty()) {
    const auto first = (*checkpoint)->Find((*checkpoint)->names()[0]);
    if (first.ok() && IsFloatingPoint((*first)->dtype)) options.dtype = (*first)->dtype;
  }
  options.kernels = model.source.kernels;
  options.pooling = FindFunction(stages.model.graph, "pool") != nullptr;
  AttentionRegistry attention;
  const Finding registered = RegisterAttention(model, attention);
  if (registered.outcome != Outcome::kPass) return registered;
  const auto executor = Executor::Create(stages.model.graph,
                                         std::shared_ptr<const Checkpoint>(*std::move(checkpoint)),
                                         attention, options);
  if (absl::IsUnimplemented(executor.status())) {
    return Skip(std::string(executor.status().message()));
  }
  if (!executor.ok()) return Fail(std::string(executor.status().message()));
  const auto& warnings = (*executor)->report().warnings;
  return warnings.empty() ? Pass() : Fail(warnings.front());
}

}  // namespace

Finding CheckCoverage(const Subject& subject) {
  bool looked = false;
  Finding finding = ForEachModel(subject, [&](ModelUnderTest& model) {
    if (model.dir.empty() || !HasWeights(model.dir)) return Pass();
    looked = true;
    const Stages stages = Record(model);
    if (!stages.status().ok()) return Skip(std::string(stages.status().message()));
    return Load(model, stages);
  });
  if (finding.outcome == Outcome::kPass && !looked)
    return Skip("no --config has weights beside it");
  return finding;
}

}  // namespace keel::conformance
