#include "core/engine/pooling_decoding.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "core/engine/ending.h"

namespace keel {

void FinishVector(VectorActivation activation, std::optional<int64_t> dimensions,
                  std::vector<float>& vector) {
  if (dimensions.has_value()) vector.resize(static_cast<size_t>(*dimensions));
  switch (activation) {
    case VectorActivation::kNone:
      return;
    case VectorActivation::kNormalize: {
      double squares = 0;
      for (const float x : vector) squares += double{x} * x;
      // As transformers' users write it: a vector of zeros stays one.
      const double norm = std::max(std::sqrt(squares), 1e-12);
      for (float& x : vector) x = static_cast<float>(x / norm);
      return;
    }
    case VectorActivation::kSoftmax: {
      const double largest = *std::max_element(vector.begin(), vector.end());
      double sum = 0;
      for (const float x : vector) sum += std::exp(x - largest);
      for (float& x : vector) x = static_cast<float>(std::exp(x - largest) / sum);
      return;
    }
    case VectorActivation::kSigmoid:
      for (float& x : vector) x = static_cast<float>(1 / (1 + std::exp(-double{x})));
      return;
  }
}

void PoolingDecoding::Take(Sampled& sampled, DecodingContext& context) {
  RunningSequence& sequence = *sampled.sequence;
  if (sequence.finished) return;
  context.metrics.PromptDone(sequence.prompt_tokens, sequence.cached_tokens);
  const bool is_finite = std::all_of(sampled.vector.begin(), sampled.vector.end(),
                                     [](float x) { return std::isfinite(x); });
  if (!is_finite) {
    context.metrics.corrupted_requests.Increment();
    return End(*sequence.request, FinishReason::kError,
               absl::DataLossError("the model gave a vector that holds no finite numbers"),
               context);
  }
  OutputEvent event = EventOf(sequence);
  event.vector = std::move(sampled.vector);
  FinishVector(activation_, dimensions_, event.vector);
  FinishSequence(sequence, {FinishReason::kStop}, std::move(event), context);
}

void PoolingDecoding::End(RunningRequest& request, FinishReason reason, const absl::Status& status,
                          DecodingContext& context) {
  for (const auto& sequence : request.sequences) {
    if (!sequence->finished)
      FinishSequence(*sequence, {reason, "", status}, EventOf(*sequence), context);
  }
}

}  // namespace keel
