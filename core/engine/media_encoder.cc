#include "core/engine/media_encoder.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"

namespace keel {
namespace {

// The positions of tokens [begin, end) of a sequence, [axes, num_tokens] from column `row` on.
void PutPositions(const RunningSequence& sequence, int32_t begin, int32_t end, int64_t axes,
                  int64_t row, int64_t num_tokens, std::vector<int64_t>& positions) {
  const RequestMedia* media = sequence.request->media.get();
  const PromptPlaces* places =
      media != nullptr && media->places.has_value() ? &*media->places : nullptr;
  for (int64_t axis = 0; axis < axes; ++axis) {
    int64_t* out = positions.data() + axis * num_tokens + row;
    const int64_t placed =
        places == nullptr ? 0 : static_cast<int64_t>(places->positions.size()) / axes;
    for (int64_t p = begin; p < end; ++p) {
      if (places == nullptr) {
        *out++ = p;
      } else {
        *out++ = p < placed ? places->positions[static_cast<size_t>(axis * placed + p)]
                            : p + places->delta;
      }
    }
  }
}

void AddPositions(const Step& step, Batch& batch) {
  int64_t axes = 0;
  for (const Step::Item& item : step.items) {
    const RequestMedia* media = item.sequence->running->request->media.get();
    if (media != nullptr && media->places.has_value()) axes = media->places->axes;
  }
  if (axes == 0) return;
  const auto num_tokens = static_cast<int64_t>(batch.token_ids.size());
  batch.positions.resize(static_cast<size_t>(axes * num_tokens));
  int64_t row = 0;
  for (const Step::Item& item : step.items) {
    const RunningSequence& sequence = *item.sequence->running;
    PutPositions(sequence, sequence.num_computed, sequence.num_computed + item.num_tokens, axes,
                 row, num_tokens, batch.positions);
    row += item.num_tokens;
  }
}

}  // namespace

void MediaEncoder::AddMedia(const Step& step, Batch& batch) {
  int32_t row = 0;
  for (const Step::Item& item : step.items) {
    RunningSequence& sequence = *item.sequence->running;
    const int32_t begin = sequence.num_computed, end = begin + item.num_tokens;
    const RequestMedia* media = sequence.request->media.get();
    if (media != nullptr && sequence.media_status.ok()) {
      sequence.media_status = AddFeatures(*media, begin, end, row, batch);
      if (!sequence.media_status.ok()) {
        for (MediaSpan& span : sequence.media)
          span.hash = absl::StrCat("not encoded, of request ", sequence.id);
      }
    }
    row += item.num_tokens;
  }
  AddPositions(step, batch);
}

absl::Status MediaEncoder::AddFeatures(const RequestMedia& media, int32_t begin, int32_t end,
                                       int32_t row, Batch& batch) {
  for (size_t i = 0; i < media.items.size(); ++i) {
    const RequestMedia::Item& item = media.items[i];
    std::shared_ptr<const Features> features;
    for (const MediaTokensSpan::Run& run : item.span.runs) {
      const int32_t first = std::max(begin, run.begin), last = std::min(end, run.begin + run.num);
      if (first >= last) continue;
      if (features == nullptr) {
        auto encoded = FeaturesOf(item);
        if (!encoded.ok()) return Annotate(encoded.status(), absl::StrCat(item.modality, " ", i));
        features = *std::move(encoded);
      }
      batch.features.push_back(
          {row + first - begin, last - first, run.first + first - run.begin, features});
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<const Features>> MediaEncoder::FeaturesOf(
    const RequestMedia::Item& item) {
  if (auto found = cache_.Find(item.hash)) return found;
  KEEL_ASSIGN_OR_RETURN(std::shared_ptr<const Features> features,
                        executor_.Encode(item.modality, item.inputs));
  if (features->num_rows() != item.span.features) {
    return absl::InternalError(absl::StrCat("the encoder gives ", features->num_rows(),
                                            " features, the processor counted ",
                                            item.span.features));
  }
  cache_.Insert(item.hash, features);
  return features;
}

}  // namespace keel
