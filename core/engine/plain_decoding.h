// One token after another; n texts branch off where the prompt ends.
#ifndef KEEL_CORE_ENGINE_PLAIN_DECODING_H_
#define KEEL_CORE_ENGINE_PLAIN_DECODING_H_

#include <cstdint>
#include <optional>

#include "absl/types/span.h"
#include "core/engine/decoding.h"
#include "core/engine/output_worker.h"
#include "core/engine/running_request.h"

namespace keel {

class PlainDecoding : public Decoding {
 public:
  void Take(Sampled& sampled, DecodingContext& context) override;
  void Propose(RunningRequest&, DecodingContext&) override {}
  void End(RunningRequest& request, FinishReason reason, const absl::Status& status,
           DecodingContext& context) override;

 private:
  void TakeTokens(RunningSequence& sequence, absl::Span<SampledToken> tokens,
                  const absl::Status& status, DecodingContext& context);
};

}  // namespace keel
#endif  // KEEL_CORE_ENGINE_PLAIN_DECODING_H_
