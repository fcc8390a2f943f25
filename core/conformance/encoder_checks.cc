// Group N: a tower with random weights, over items that its processor makes of the kit's media, one by one and together.
#include <ATen/TensorOperators.h>
#include <ATen/ops/abs.h>

#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/attention/registry.h"
#include "core/base/status.h"
#include "core/conformance/numeric_checks.h"
#include "core/conformance/processor_cases.h"
#include "core/conformance/random_model.h"
#include "core/exec/executor.h"

namespace keel::conformance {
namespace {

constexpr double kTolerance = 1e-5;  // of the largest feature, in f32

// How far a call for all is from one for each, as a share of the largest feature; -1: a call takes one item.
absl::StatusOr<double> Apart(const ProcessorCase& c, const RandomModel& model) {
  const AttentionRegistry attention;
  ExecutorOptions options;
  options.mode = ExecMode::kGraph;
  KEEL_ASSIGN_OR_RETURN(const auto executor,
                        Executor::Create(model.graph(), model.checkpoint(), attention, options));
  if (!executor->EncodesTogether(c.name)) return -1;
  std::vector<NamedTensors> inputs;
  std::vector<const NamedTensors*> items;
  for (const TestMedia& item : c.items) {
    KEEL_ASSIGN_OR_RETURN(const Delivered delivered, c.processor.Preprocess({item.media()}));
    KEEL_ASSIGN_OR_RETURN(inputs.emplace_back(), TensorsOf(delivered));
  }
  for (const NamedTensors& item : inputs) items.push_back(&item);
  KEEL_ASSIGN_OR_RETURN(const FeatureList together, executor->EncodeAll(c.name, items));
  double apart = 0;
  for (size_t i = 0; i < inputs.size(); ++i) {
    KEEL_ASSIGN_OR_RETURN(const auto alone, executor->Encode(c.name, inputs[i]));
    const at::Tensor a = alone->rows(), b = together[i]->rows();
    if (a.sizes() != b.sizes())
      return absl::InternalError(
          absl::StrCat("item ", i, " has ", b.size(0), " features, alone ", a.size(0)));
    const double share = (at::abs(a - b).max() / at::abs(a).max()).item<double>();
    apart = share <= apart ? apart : share;  // one that is no number stays
  }
  return apart;
}

}  // namespace

Finding CheckEncodesTogether(const Subject& subject) {
  return ForEachProcessor(subject, [&](const ProcessorCase& c) {
    if (c.encode == nullptr || c.items.size() < 2) return Pass();
    Trying(absl::StrCat("features of ", c.items.size(), " items"));
    const auto model = RandomModel::Create(*c.graph, subject.seed);
    if (!model.ok()) return Skip(std::string(model.status().message()));
    const absl::StatusOr<double> apart = Apart(c, **model);
    if (!apart.ok()) return Fail(std::string(apart.status().message()));
    if (*apart <= kTolerance) return Pass();
    return Fail(absl::StrCat("features of ", c.items.size(), " items together are ", *apart,
                             " of the largest from those of each alone"));
  });
}

}  // namespace keel::conformance
