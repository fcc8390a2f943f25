#include "apps/wire/generation.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace keel::apps {
namespace {

// Outputs that may wait one by one; beyond, they are joined.
constexpr size_t kMaxWaiting = 64;

// Tokens that may wait before those that make them pause.
constexpr size_t kMaxUnread = 4096;

std::shared_ptr<const PromptTokens> CopyPromptTokens(const Output& output) {
  auto copy = std::make_shared<PromptTokens>();
  const std::span<const int32_t> ids = output.prompt_tokens();
  copy->ids.assign(ids.begin(), ids.end());
  if (ids.size() < 2 || !output.prompt_logprob(1).has_value()) return copy;
  for (size_t i = 0; i < ids.size(); ++i) {
    const std::optional<Logprob> logprob = output.prompt_logprob(i);
    if (logprob.has_value()) {
      copy->logprobs.emplace_back(OwnedLogprob(*logprob));
    } else {
      copy->logprobs.emplace_back();
    }
  }
  return copy;
}

}  // namespace

Result<std::shared_ptr<Generation>> Generation::Start(std::shared_ptr<Engine> engine,
                                                      const std::vector<Request>& requests,
                                                      Wake wake) {
  auto generation = std::make_shared<Generation>(PrivateTag(), std::move(engine), std::move(wake));
  generation->running_ = requests.size();
  generation->seen_.resize(requests.size());
  for (size_t i = 0; i < requests.size(); ++i) {
    Result<uint64_t> id = generation->engine_->Submit(
        requests[i], [generation, i](const Output& output) { generation->OnOutput(i, output); });
    if (!id.ok()) {
      generation->Cancel();
      return id.status();
    }
    std::lock_guard lock(generation->mutex_);
    generation->ids_.push_back(*id);
  }
  return generation;
}

void Generation::OnOutput(size_t prompt, const Output& output) {
  Piece piece{.prompt = prompt, .output = OwnedOutput(output), .prompt_tokens = nullptr};
  {
    std::lock_guard lock(mutex_);
    std::vector<bool>& seen = seen_[prompt];
    if (seen.size() <= piece.output.index) seen.resize(piece.output.index + 1);
    if (!seen[piece.output.index]) {
      seen[piece.output.index] = true;
      piece.prompt_tokens = CopyPromptTokens(output);
    }
    unread_ += piece.output.tokens.size();
    if (piece.output.is_last) {
      --running_;
    } else if (unread_ >= kMaxUnread && engine_->Pause(output.request()).ok()) {
      paused_.push_back(output.request());
    }
    auto same = waiting_.rend();
    if (waiting_.size() >= kMaxWaiting) {
      same = std::find_if(waiting_.rbegin(), waiting_.rend(), [&](const Piece& other) {
        return other.prompt == prompt && other.output.index == piece.output.index;
      });
    }
    if (same != waiting_.rend()) {
      same->output.Append(std::move(piece.output));
    } else {
      waiting_.push_back(std::move(piece));
    }
  }
  wake_();
}

bool Generation::Take(std::vector<Piece>* pieces) {
  std::lock_guard lock(mutex_);
  pieces->insert(pieces->end(), std::make_move_iterator(waiting_.begin()),
                 std::make_move_iterator(waiting_.end()));
  waiting_.clear();
  unread_ = 0;
  for (const uint64_t id : paused_) {
    // NOT_FOUND is no news: it was cancelled.
    [[maybe_unused]] const Status status = engine_->Resume(id);
  }
  paused_.clear();
  return running_ > 0;
}

void Generation::Cancel() {
  std::vector<uint64_t> ids;
  {
    std::lock_guard lock(mutex_);
    if (cancelled_ || running_ == 0) return;
    cancelled_ = true;
    ids = ids_;
  }
  for (const uint64_t id : ids) {
    // NOT_FOUND is no news: it ended by itself.
    [[maybe_unused]] const Status status = engine_->Cancel(id);
  }
}

}  // namespace keel::apps
