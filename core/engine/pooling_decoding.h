// A prompt becomes one vector, and the request ends.
#ifndef KEEL_CORE_ENGINE_POOLING_DECODING_H_
#define KEEL_CORE_ENGINE_POOLING_DECODING_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "core/engine/decoding.h"
#include "core/model/pooling.h"

namespace keel {

class PoolingDecoding : public Decoding {
 public:
  // `dimensions`: the first so many numbers of a vector; all if unset.
  PoolingDecoding(VectorActivation activation, std::optional<int64_t> dimensions)
      : activation_(activation), dimensions_(dimensions) {}

  void Take(Sampled& sampled, DecodingContext& context) override;
  void Propose(RunningRequest&, DecodingContext&) override {}
  void End(RunningRequest& request, FinishReason reason, const absl::Status& status,
           DecodingContext& context) override;

 private:
  const VectorActivation activation_;
  const std::optional<int64_t> dimensions_;
};

// Cut first, so that what is left has the length 1 or the sum 1.
void FinishVector(VectorActivation activation, std::optional<int64_t> dimensions,
                  std::vector<float>& vector);

}  // namespace keel
#endif  // KEEL_CORE_ENGINE_POOLING_DECODING_H_
