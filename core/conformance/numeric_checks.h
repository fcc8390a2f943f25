// Checks that need a tensor library: group N, and what a checkpoint's tensors become.
#ifndef KEEL_CORE_CONFORMANCE_NUMERIC_CHECKS_H_
#define KEEL_CORE_CONFORMANCE_NUMERIC_CHECKS_H_

#include "core/attention/registry.h"
#include "core/conformance/check.h"
#include "core/conformance/subject.h"

namespace keel::conformance {

// The attention classes of the model's plugin join `registry`, as when a host loads the model.
Finding RegisterAttention(const ModelUnderTest& model, AttentionRegistry& registry);

Finding CheckCoverage(const Subject& subject);

Finding CheckEagerRun(const Subject& subject);
Finding CheckChunks(const Subject& subject);
Finding CheckBatches(const Subject& subject);
Finding CheckTwoRanks(const Subject& subject);
Finding CheckTwoStages(const Subject& subject);
Finding CheckEncodesTogether(const Subject& subject);

}  // namespace keel::conformance

#endif  // KEEL_CORE_CONFORMANCE_NUMERIC_CHECKS_H_
