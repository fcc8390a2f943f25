#include "core/engine/media_encoder.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/algorithm/container.h"
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

using Item = RequestMedia::Item;

}  // namespace

// One item's features, made for all that wait for them.
struct MediaJob {
  std::shared_ptr<const Item> item;  // keeps its request's media
  std::shared_ptr<const Features> features = nullptr;
  absl::Status status = absl::OkStatus();
  bool alone = false;  // a call for it and others failed

  bool done() const { return features != nullptr || !status.ok(); }
};

// A run of an encoder. Whoever waited for an item may be gone, and its features are made all the same, unless all are.
struct MediaEncoder::Call {
  std::vector<std::shared_ptr<const Item>> items;
  std::unique_ptr<Encoding> encoding = nullptr;  // null: not begun

  auto Find(const MediaJob& job) const {
    return absl::c_find_if(items, [&](const auto& item) { return item->hash == job.item->hash; });
  }
};

MediaEncoder::MediaEncoder(Executor& executor, int64_t cache_bytes, int64_t max_tokens)
    : executor_(executor), max_tokens_(max_tokens), cache_(cache_bytes) {}

MediaEncoder::~MediaEncoder() = default;

int32_t MediaEncoder::NumReady(RunningSequence& sequence, int32_t begin, int32_t n) {
  const std::shared_ptr<const RequestMedia>& media = sequence.request->media;
  if (media == nullptr || !sequence.media_status.ok()) return n;
  sequence.media_jobs.resize(media->items.size());
  int32_t ready = begin + n;
  for (size_t i = 0; i < media->items.size(); ++i) {
    for (const MediaTokensSpan::Run& run : media->items[i].span.runs) {
      const int32_t first = std::max(begin, run.begin);
      if (first >= std::min(begin + n, run.begin + run.num)) continue;
      std::shared_ptr<MediaJob>& job = sequence.media_jobs[i];
      if (job == nullptr) job = JobFor(media, media->items[i]);
      if (!job->done()) {
        ready = std::min(ready, first);
      } else if (!job->status.ok()) {
        Fail(sequence, Annotate(job->status, absl::StrCat(media->items[i].modality, " ", i)));
        return n;
      }
    }
  }
  return ready - begin;
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
                                               const Item& item) {
  const std::shared_ptr<const Item> owned(media, &item);
  if (auto found = cache_.Find(item.hash))
    return std::make_shared<MediaJob>(MediaJob{owned, std::move(found)});
  for (const std::weak_ptr<MediaJob>& waiting : queue_) {
    std::shared_ptr<MediaJob> job = waiting.lock();
    if (job != nullptr && job->item->hash == item.hash) return job;
  }
  auto job = std::make_shared<MediaJob>(MediaJob{owned});
  queue_.push_back(job);
  return job;
}

bool MediaEncoder::pending() {
  std::erase_if(queue_, [](const auto& job) { return job.expired(); });
  const bool is_wanted = call_ != nullptr && absl::c_any_of(queue_, [&](const auto& waiting) {
                           return call_->Find(*waiting.lock()) != call_->items.end();
                         });
  if (!is_wanted) call_.reset();
  return !queue_.empty();
}

void MediaEncoder::Advance(absl::Duration limit) {
  if (!pending()) return;
  if (call_ == nullptr) call_ = NextCall();
  const absl::StatusOr<FeatureList> features = Continue(limit);
  if (features.ok() && features->empty()) return;
  Finish(*std::exchange(call_, nullptr), features);
}

// Of the first that is queued, and of others that fit beside it.
std::unique_ptr<MediaEncoder::Call> MediaEncoder::NextCall() {
  auto call = std::make_unique<Call>();
  const std::shared_ptr<MediaJob> first = queue_.front().lock();
  const std::string& modality = first->item->modality;
  call->items = {first->item};
  if (first->alone || !executor_.EncodesTogether(modality)) return call;
  int64_t tokens = first->item->span.features;
  for (const std::weak_ptr<MediaJob>& waiting : queue_) {
    const std::shared_ptr<MediaJob> job = waiting.lock();
    const int64_t more = job->item->span.features;
    if (job == first || job->alone || job->item->modality != modality) continue;
    if (tokens + more > max_tokens_) continue;
    call->items.push_back(job->item);
    tokens += more;
  }
  return call;
}

absl::StatusOr<FeatureList> MediaEncoder::Continue(absl::Duration limit) {
  if (call_->encoding == nullptr) {
    std::vector<const NamedTensors*> inputs;
    for (const auto& item : call_->items) inputs.push_back(&item->inputs);
    ++num_calls_;
    KEEL_ASSIGN_OR_RETURN(call_->encoding,
                          executor_.StartEncoding(call_->items[0]->modality, inputs));
  }
  return call_->encoding->Advance(limit);
}

void MediaEncoder::Finish(const Call& call, const absl::StatusOr<FeatureList>& features) {
  for (const std::weak_ptr<MediaJob>& waiting : queue_) {
    const std::shared_ptr<MediaJob> job = waiting.lock();
    const auto found = call.Find(*job);
    if (found == call.items.end()) continue;
    if (!features.ok()) {
      job->alone = true;
      if (call.items.size() == 1) job->status = features.status();
      continue;
    }
    const auto& own = (*features)[static_cast<size_t>(found - call.items.begin())];
    if (const int64_t counted = job->item->span.features; own->num_rows() != counted) {
      job->status = absl::InternalError(absl::StrCat("the encoder gives ", own->num_rows(),
                                                     " features, the processor counted ", counted));
      continue;
    }
    job->features = own;
    cache_.Insert(job->item->hash, own);
  }
  std::erase_if(queue_, [](const auto& waiting) { return waiting.lock()->done(); });
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
