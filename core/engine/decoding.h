// How the tokens of a request become its texts: one after another (PlainDecoding), with drafts that
// a step verifies (DraftDecoding), or by beam search (BeamDecoding). Each request has one.
#ifndef KEEL_CORE_ENGINE_DECODING_H_
#define KEEL_CORE_ENGINE_DECODING_H_

#include "absl/status/status.h"
#include "core/engine/request.h"
#include "core/engine/sampled.h"

namespace keel {

struct DecodingContext;
struct RunningRequest;

// The engine thread's.
class Decoding {
 public:
  virtual ~Decoding() = default;

  // After a step that computed the last token of a sequence; the scheduler has advanced. Appends
  // what was sampled, gives it out and finishes sequences. Ignores one that has finished meanwhile.
  virtual void Take(Sampled& sampled, DecodingContext& context) = 0;

  // After all that a step sampled for the request was taken: says what it computes next, where that
  // is more than the token that it took (drafts, or the beams that go on).
  virtual void Propose(RunningRequest& request, DecodingContext& context) = 0;

  // Finishes all that still runs, and with it the request.
  virtual void End(RunningRequest& request, FinishReason reason, const absl::Status& status,
                   DecodingContext& context) = 0;
};

}  // namespace keel
#endif  // KEEL_CORE_ENGINE_DECODING_H_
