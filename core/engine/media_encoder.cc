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

// One item's features, made for all that wait for them.
struct MediaJob {
  std::shared_ptr<const RequestMedia> media;  // of which it is one
  const RequestMedia::Item& item;
  std::unique_ptr<Encoding> encoding = nullptr;  // null: not begun, or done
  std::shared_ptr<const Features> features = nullptr;
  absl::Status status = absl::OkStatus();

  bool done() const { return features != nullptr || !status.ok(); }
};

int32_t MediaEncoder::NumReady(RunningSequence& sequence, int32_t begin, int32_t n) {
  const std::shared_ptr<const RequestMedia>& media = sequence.request->media;
  if (media == nullptr || !sequence.media_status.ok()) return n;
  sequence.media_jobs.resize(media->items.size());
  int32_t end = begin + n;
  for (size_t i = 0; i < media->items.size(); ++i) {
    for (const MediaTokensSpan::Run& run : media->items[i].span.runs) {
      const int32_t first = std::max(begin, run.begin);
      if (first >= std::min(end, run.begin + run.num)) continue;
      std::shared_ptr<MediaJob>& job = sequence.media_jobs[i];
      if (job == nullptr) job = JobFor(media, media->items[i]);
      if (!job->done()) {
        end = first;
      } else if (!job->status.ok()) {
        Fail(sequence, Annotate(job->status, absl::StrCat(media->items[i].modality, " ", i)));
        return n;
      }
    }
  }
  return end - begin;
}

// It shares its blocks with nobody. What an encoder does not take is the processor's doing.
void MediaEncoder::Fail(RunningSequence& sequence, const absl::Status& status) {
  sequence.media_status = status;
  if (absl::IsInvalidArgument(status) || absl::IsInternal(status)) {
    sequence.media_status = absl::InternalError(
        absl::StrCat("processor ", sequence.request->media->processor, ": ", status.message()));
  }
  for (MediaSpan& span : sequence.media)
    span.hash = absl::StrCat("not encoded, of request ", sequence.id);
}

std::shared_ptr<MediaJob> MediaEncoder::JobFor(const std::shared_ptr<const RequestMedia>& media,
                                               const RequestMedia::Item& item) {
  if (auto found = cache_.Find(item.hash))
    return std::make_shared<MediaJob>(MediaJob{media, item, nullptr, std::move(found)});
  for (const std::weak_ptr<MediaJob>& waiting : queue_) {
    std::shared_ptr<MediaJob> job = waiting.lock();
    if (job != nullptr && job->item.hash == item.hash) return job;
  }
  auto job = std::make_shared<MediaJob>(MediaJob{media, item});
  queue_.push_back(job);
  return job;
}

bool MediaEncoder::pending() {
  while (!queue_.empty() && queue_.front().expired()) queue_.pop_front();
  return !queue_.empty();
}

void MediaEncoder::Advance(absl::Duration limit) {
  if (!pending()) return;
  const std::shared_ptr<MediaJob> job = queue_.front().lock();
  job->status = Continue(*job, limit);
  if (!job->done()) return;
  job->encoding.reset();
  queue_.pop_front();
  if (job->status.ok()) cache_.Insert(job->item.hash, job->features);
}

absl::Status MediaEncoder::Continue(MediaJob& job, absl::Duration limit) {
  if (job.encoding == nullptr) {
    KEEL_ASSIGN_OR_RETURN(job.encoding,
                          executor_.StartEncoding(job.item.modality, job.item.inputs));
  }
  KEEL_ASSIGN_OR_RETURN(std::shared_ptr<const Features> features, job.encoding->Advance(limit));
  if (features != nullptr && features->num_rows() != job.item.span.features) {
    return absl::InternalError(absl::StrCat("the encoder gives ", features->num_rows(),
                                            " features, the processor counted ",
                                            job.item.span.features));
  }
  job.features = std::move(features);
  return absl::OkStatus();
}

void MediaEncoder::AddMedia(const Step& step, Batch& batch) {
  int32_t row = 0;
  for (const Step::Item& item : step.items) {
    RunningSequence& sequence = *item.sequence->running;
    AddFeatures(sequence, sequence.num_computed, sequence.num_computed + item.num_tokens, row,
                batch);
    row += item.num_tokens;
  }
  AddPositions(step, batch);
}

void MediaEncoder::AddFeatures(RunningSequence& sequence, int32_t begin, int32_t end, int32_t row,
                               Batch& batch) {
  const RequestMedia* media = sequence.request->media.get();
  if (media == nullptr || !sequence.media_status.ok()) return;
  for (size_t i = 0; i < sequence.media_jobs.size(); ++i) {
    std::shared_ptr<MediaJob>& job = sequence.media_jobs[i];
    if (job == nullptr) continue;
    const MediaTokensSpan& span = media->items[i].span;
    for (const MediaTokensSpan::Run& run : span.runs) {
      const int32_t first = std::max(begin, run.begin), last = std::min(end, run.begin + run.num);
      if (first >= last) continue;
      batch.features.push_back(
          {row + first - begin, last - first, run.first + first - run.begin, job->features});
    }
    if (end >= span.end) job.reset();  // computed; a preempted sequence asks again
  }
}

}  // namespace keel
