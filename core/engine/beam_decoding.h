// Beam search as a decoding: the sequences of the request are the beams. One that was computed waits
// until its siblings are, and all go on at once. Texts are given at the end.
#ifndef KEEL_CORE_ENGINE_BEAM_DECODING_H_
#define KEEL_CORE_ENGINE_BEAM_DECODING_H_

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "core/engine/beam_search.h"
#include "core/engine/decoding.h"
#include "core/engine/output_worker.h"
#include "core/engine/running_request.h"

namespace keel {

class BeamDecoding : public Decoding {
 public:
  explicit BeamDecoding(BeamSearch search) : search_(std::move(search)) {}

  // Candidates that each beam must bring: num_candidates of the request's first sequence.
  int64_t num_candidates() const { return search_.num_candidates(); }

  void Take(Sampled& sampled, DecodingContext& context) override;
  void Propose(RunningRequest& request, DecodingContext& context) override;
  void End(RunningRequest& request, FinishReason reason, const absl::Status& status,
           DecodingContext& context) override;

 private:
  void GoOn(RunningRequest& request, const std::vector<BeamSearch::Next>& next,
            DecodingContext& context);
  // Gives the texts, the likeliest first, and ends the request.
  void Finish(RunningRequest& request, std::vector<OutputEvent> ends, DecodingContext& context);

  BeamSearch search_;
  std::vector<std::optional<BeamSearch::Candidates>> candidates_;  // by beam; unset: to come
  absl::Status dry_;  // why a beam, the last of those, has no candidates
};

}  // namespace keel
#endif  // KEEL_CORE_ENGINE_BEAM_DECODING_H_
