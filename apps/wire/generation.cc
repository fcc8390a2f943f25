#include "apps/wire/generation.h"

#include <utility>

namespace keel::apps {
namespace {

// Tokens that a request may be ahead of its client.
constexpr int64_t kMaxUnread = 4096;

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
                                                      std::vector<Request> requests, Wake wake) {
  auto generation = std::make_shared<Generation>(PrivateTag(), std::move(engine), std::move(wake));
  generation->running_ = requests.size();
  generation->seen_.resize(requests.size());
  const std::shared_ptr<Engine> held = generation->engine_;
  for (size_t i = 0; i < requests.size(); ++i) {
    if (Status status = requests[i].SetInt("max_unread_tokens", kMaxUnread); !status.ok())
      return status;
    Result<uint64_t> id = held->Submit(
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
  Piece piece{.prompt = prompt,
              .request = output.request(),
              .output = OwnedOutput(output),
              .prompt_tokens = nullptr};
  {
    std::lock_guard lock(mutex_);
    std::vector<bool>& seen = seen_[prompt];
    if (seen.size() <= piece.output.index) seen.resize(piece.output.index + 1);
    if (!seen[piece.output.index]) {
      seen[piece.output.index] = true;
      piece.prompt_tokens = CopyPromptTokens(output);
    }
    if (piece.output.is_last) --running_;
    waiting_.push_back(std::move(piece));
  }
  wake_();
}

bool Generation::Take(std::vector<Piece>* pieces) {
  std::deque<Piece> taken;
  bool more = false;
  std::shared_ptr<Engine> engine;
  {
    std::lock_guard lock(mutex_);
    taken.swap(waiting_);
    more = running_ > 0;
    // Let go with the last piece, whoever holds this object still: who reads the answer may ask for
    // a model that needs the room.
    engine = more ? engine_ : std::move(engine_);
  }
  for (Piece& piece : taken) {
    // NOT_FOUND is no news: it has ended.
    [[maybe_unused]] const Status status =
        engine->Read(piece.request, static_cast<int64_t>(piece.output.tokens.size()));
    pieces->push_back(std::move(piece));
  }
  return more;
}

void Generation::Cancel() {
  std::vector<uint64_t> ids;
  std::shared_ptr<Engine> engine;
  {
    std::lock_guard lock(mutex_);
    if (cancelled_ || running_ == 0) return;
    cancelled_ = true;
    ids = ids_;
    engine = engine_;
  }
  for (const uint64_t id : ids) {
    // NOT_FOUND is no news: it ended by itself.
    [[maybe_unused]] const Status status = engine->Cancel(id);
  }
}

}  // namespace keel::apps
