// The calls of every dialect: what they have in common, which is all but how they are read and
// written.
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "apps/server/router.h"
#include "apps/server/serving.h"
#include "apps/wire/answer.h"
#include "apps/wire/call.h"
#include "apps/wire/fields.h"
#include "apps/wire/generation.h"
#include "apps/wire/model_field.h"

namespace keel::apps {
namespace {

std::string TokensNote(const Usage& usage) {
  return std::to_string(usage.prompt_tokens) + "+" + std::to_string(usage.completion_tokens) +
         " tokens";
}

// A streamed answer: the connection takes events as they come.
class EventStream : public BodyStream {
 public:
  EventStream(Serving::Lease lease, std::shared_ptr<Generation> generation,
              std::unique_ptr<Answer> answer, std::weak_ptr<Exchange> exchange)
      : lease_(std::move(lease)),
        generation_(std::move(generation)),
        answer_(std::move(answer)),
        exchange_(std::move(exchange)) {}

  bool Take(std::string* events) override {
    std::vector<Piece> pieces;
    const bool more = generation_->Take(&pieces);
    for (const Piece& piece : pieces) answer_->AppendEvents(piece, events);
    if (auto exchange = exchange_.lock()) exchange->Note(TokensNote(answer_->usage()));
    if (!more) answer_->AppendEnd(events);
    return more;
  }

 private:
  const Serving::Lease lease_;
  const std::shared_ptr<Generation> generation_;
  const std::unique_ptr<Answer> answer_;
  const std::weak_ptr<Exchange> exchange_;
};

// An answer that is given when it is complete.
class Collector : public std::enable_shared_from_this<Collector> {
 public:
  Collector(Router& router, Serving::Lease lease, std::unique_ptr<Answer> answer,
            std::shared_ptr<Exchange> exchange)
      : router_(router),
        lease_(std::move(lease)),
        answer_(std::move(answer)),
        exchange_(std::move(exchange)) {}

  void Start(std::shared_ptr<Generation> generation) {
    {
      std::lock_guard lock(mutex_);
      generation_ = std::move(generation);
    }
    OnOutput();
  }

  // On an engine thread: the JSON is made elsewhere.
  void OnOutput() {
    std::lock_guard lock(mutex_);
    if (generation_ == nullptr) return;  // not started yet, or done
    std::vector<Piece> pieces;
    const bool more = generation_->Take(&pieces);
    for (Piece& piece : pieces) answer_->Collect(std::move(piece));
    if (more) return;
    generation_ = nullptr;  // it holds this object
    router_.Post([self = shared_from_this()] { self->Respond(); });
  }

 private:
  void Respond() {
    exchange_->Note(TokensNote(answer_->usage()));
    if (answer_->error().has_value()) {
      RespondError(*exchange_, *answer_->error());
    } else {
      exchange_->Respond({.status = 200, .body = answer_->Body()});
    }
  }

  Router& router_;
  const Serving::Lease lease_;
  std::mutex mutex_;
  std::shared_ptr<Generation> generation_;
  const std::unique_ptr<Answer> answer_;
  const std::shared_ptr<Exchange> exchange_;
};

// The engine's words begin with the field at fault, if it is one.
CallError Refusal(const Status& status, const boost::json::object& body) {
  std::string field = status.message().substr(0, status.message().find(' '));
  if (!body.contains(field)) field.clear();
  return FromEngine(status, std::move(field));
}

void CancelWhenClientGoes(Exchange& exchange, const std::shared_ptr<Generation>& generation) {
  exchange.OnClientGone([generation] { generation->Cancel(); });
}

Status Stream(Serving& serving, Serving::Lease lease, Call call,
              const std::shared_ptr<Exchange>& exchange) {
  const std::weak_ptr<Exchange> weak = exchange;
  auto generation = Generation::Start(serving.engine, call.requests, [weak] {
    if (auto alive = weak.lock()) alive->Wake();
  });
  if (!generation.ok()) return generation.status();
  CancelWhenClientGoes(*exchange, *generation);
  auto stream =
      std::make_shared<EventStream>(std::move(lease), *generation, std::move(call.answer), weak);
  exchange->RespondInPieces({.status = 200, .content_type = "text/event-stream; charset=utf-8"},
                            std::move(stream));
  return Status();
}

Status Collect(Router& router, Serving& serving, Serving::Lease lease, Call call,
               const std::shared_ptr<Exchange>& exchange) {
  auto collector =
      std::make_shared<Collector>(router, std::move(lease), std::move(call.answer), exchange);
  auto generation =
      Generation::Start(serving.engine, call.requests, [collector] { collector->OnOutput(); });
  if (!generation.ok()) return generation.status();
  CancelWhenClientGoes(*exchange, *generation);
  collector->Start(*std::move(generation));
  return Status();
}

void Generate(Router& router, const ServingSlot& slot, ParseCall parse,
              std::shared_ptr<Exchange> exchange) {
  Serving* serving = slot.GetOrRefuse(*exchange);
  if (serving == nullptr) return;
  Serving::Lease lease = serving->Acquire();
  boost::json::value body;
  if (const MaybeError error = ParseBody(exchange->request().body, &body)) {
    return RespondError(*exchange, *error);
  }
  CallContext context{.engine = serving->engine, .model = {}, .request_id = exchange->request().id};
  if (const MaybeError error =
          ReadModelName(body.get_object(), serving->model.names, &context.model)) {
    return RespondError(*exchange, *error);
  }
  Call call;
  if (const MaybeError error = parse(body.get_object(), context, &call)) {
    return RespondError(*exchange, *error);
  }
  const Status status =
      call.stream ? Stream(*serving, std::move(lease), std::move(call), exchange)
                  : Collect(router, *serving, std::move(lease), std::move(call), exchange);
  if (!status.ok()) RespondError(*exchange, Refusal(status, body.get_object()));
}

}  // namespace

void AddGenerateEndpoints(Router& router, const ServingSlot& slot, const Dialect& dialect) {
  for (const auto& [path, parse] : dialect.endpoints) {
    router.Add(
        "POST", std::string(path),
        [&router, &slot, parse = parse](std::shared_ptr<Exchange> exchange) {
          Generate(router, slot, parse, std::move(exchange));
        },
        Router::Access::kWithKey, dialect.error_form);
  }
}

}  // namespace keel::apps
