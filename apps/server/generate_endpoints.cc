// The calls of every dialect: what they have in common, which is all but how they are read and
// written.
#include <algorithm>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "apps/server/endpoints.h"
#include "apps/server/unknown_fields.h"
#include "apps/wire/answer.h"
#include "apps/wire/call.h"
#include "apps/wire/fields.h"
#include "apps/wire/generation.h"
#include "apps/wire/model_field.h"

namespace keel::apps {
namespace {

TokenCounts CountsOf(const Usage& usage) {
  return {.prompt = usage.prompt_tokens, .completion = usage.completion_tokens};
}

// A streamed answer: the connection takes events as they come.
class EventStream : public BodyStream, public RunningCall {
 public:
  EventStream(std::shared_ptr<Engine> engine, std::shared_ptr<Generation> generation,
              std::unique_ptr<Answer> answer, std::weak_ptr<Exchange> exchange)
      : engine_(std::move(engine)),
        generation_(std::move(generation)),
        answer_(std::move(answer)),
        exchange_(std::move(exchange)) {}

  void set_place(RunningCalls::Place place) { place_ = std::move(place); }

  bool Take(std::string* events) override {
    std::vector<Piece> pieces;
    bool more = generation_->Take(&pieces);
    const MaybeError ending = Ending();
    for (const Piece& piece : pieces) {
      // What End has cut off is told as its error.
      const bool is_cut = ending.has_value() && piece.output.finish_reason == "abort";
      if (!is_cut) answer_->AppendEvents(piece, events);
      more = more || is_cut;
    }
    if (more && answer_->error().has_value()) {
      generation_->Cancel();
      more = false;
    }
    if (more && ending.has_value()) {
      answer_->Fail(*ending, events);
      more = false;
    }
    if (auto exchange = exchange_.lock()) exchange->CountTokens(CountsOf(answer_->usage()));
    if (!more) {
      answer_->AppendEnd(events);
      engine_ = nullptr;  // who reads the answer may ask for a model that needs the room
    }
    return more;
  }

  void Abort() override { generation_->Cancel(); }

  void End(const CallError& error) override {
    {
      std::lock_guard lock(mutex_);
      ending_ = error;
    }
    generation_->Cancel();
    if (auto exchange = exchange_.lock()) exchange->Wake();
  }

 private:
  MaybeError Ending() {
    std::lock_guard lock(mutex_);
    return ending_;
  }

  std::shared_ptr<Engine> engine_;  // the answer's texts are its
  const std::shared_ptr<Generation> generation_;
  const std::unique_ptr<Answer> answer_;
  const std::weak_ptr<Exchange> exchange_;
  RunningCalls::Place place_;
  std::mutex mutex_;
  MaybeError ending_;
};

// An answer that is given when it is complete.
class Collector : public RunningCall, public std::enable_shared_from_this<Collector> {
 public:
  Collector(Router& router, std::shared_ptr<Engine> engine, std::unique_ptr<Answer> answer,
            std::string warning, std::shared_ptr<Exchange> exchange)
      : router_(router),
        engine_(std::move(engine)),
        answer_(std::move(answer)),
        warning_(std::move(warning)),
        exchange_(std::move(exchange)) {}

  void Start(std::shared_ptr<Generation> generation, RunningCalls& calls,
             std::vector<std::string> ids) {
    {
      std::lock_guard lock(mutex_);
      generation_ = std::move(generation);
      place_ = calls.Add(weak_from_this(), std::move(ids));
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
    if (more && answer_->error().has_value()) generation_->Cancel();
    if (!more) RespondSoon();
  }

  void Abort() override {
    std::lock_guard lock(mutex_);
    if (generation_ != nullptr) generation_->Cancel();
  }

  void End(const CallError& error) override {
    std::lock_guard lock(mutex_);
    if (generation_ == nullptr) return;
    generation_->Cancel();
    std::string unused;
    answer_->Fail(error, &unused);
    RespondSoon();
  }

 private:
  void RespondSoon() {
    generation_ = nullptr;  // it holds this object
    router_.Post(
        exchange_, [self = shared_from_this()] { self->Respond(); }, Router::Lane::kWork);
  }
  void Respond() {
    exchange_->CountTokens(CountsOf(answer_->usage()));
    if (answer_->error().has_value()) {
      RespondError(*exchange_, *answer_->error());
    } else {
      HttpResponse response{.status = 200, .body = answer_->Body(), .warning = warning_};
      AddWarning(warning_, &response.body);
      engine_ = nullptr;  // who reads the answer may ask for a model that needs the room
      exchange_->Respond(std::move(response));
    }
  }

  Router& router_;
  std::shared_ptr<Engine> engine_;  // the answer's texts are its
  std::mutex mutex_;
  std::shared_ptr<Generation> generation_;
  const std::unique_ptr<Answer> answer_;
  const std::string warning_;  // of the body's fields; "": none
  const std::shared_ptr<Exchange> exchange_;
  RunningCalls::Place place_;
};

// What an abort may call it by: the client's own id and the one in the answer's X-Request-Id.
std::vector<std::string> IdsOf(const Call& call, const Exchange& exchange) {
  std::vector<std::string> ids = {exchange.request().id};
  if (!call.id.empty()) ids.push_back(call.id);
  return ids;
}

void CancelWhenClientGoes(Exchange& exchange, const std::shared_ptr<Generation>& generation) {
  // The call alone holds it, and with it the use of a model: an exchange outlives its answer.
  exchange.OnClientGone([weak = std::weak_ptr<Generation>(generation)] {
    if (const auto running = weak.lock()) running->Cancel();
  });
}

Status Stream(const EndpointContext& context, std::shared_ptr<Engine> engine, Call call,
              const std::shared_ptr<Exchange>& exchange) {
  const std::weak_ptr<Exchange> weak = exchange;
  std::vector<std::string> ids = IdsOf(call, *exchange);
  std::string warning = UnknownFieldsWarning(call.unknown_fields);
  auto generation = Generation::Start(engine, std::move(call.requests), [weak] {
    if (auto alive = weak.lock()) alive->Wake();
  });
  if (!generation.ok()) return generation.status();
  CancelWhenClientGoes(*exchange, *generation);
  auto stream = std::make_shared<EventStream>(std::move(engine), *std::move(generation),
                                              std::move(call.answer), weak);
  stream->set_place(context.calls.Add(stream, std::move(ids)));
  exchange->RespondInPieces({.status = 200,
                             .content_type = "text/event-stream; charset=utf-8",
                             .warning = std::move(warning)},
                            std::move(stream));
  return Status();
}

Status Collect(const EndpointContext& context, std::shared_ptr<Engine> engine, Call call,
               const std::shared_ptr<Exchange>& exchange) {
  std::vector<std::string> ids = IdsOf(call, *exchange);
  auto collector = std::make_shared<Collector>(context.router, engine, std::move(call.answer),
                                               UnknownFieldsWarning(call.unknown_fields), exchange);
  auto generation = Generation::Start(std::move(engine), std::move(call.requests),
                                      [collector] { collector->OnOutput(); });
  if (!generation.ok()) return generation.status();
  CancelWhenClientGoes(*exchange, *generation);
  collector->Start(*std::move(generation), context.calls, std::move(ids));
  return Status();
}

void Generate(const EndpointContext& context, ParseCall parse, const std::string& model,
              const std::shared_ptr<const boost::json::value>& body, std::shared_ptr<Engine> engine,
              const std::shared_ptr<Exchange>& exchange) {
  const CallContext call_context{.engine = *engine,
                                 .model = model,
                                 .request_id = exchange->request().id,
                                 .limits = context.limits,
                                 .incremental_streams = context.style.incremental_streams};
  const auto call = std::make_shared<Call>();
  if (const MaybeError error = parse(body->get_object(), call_context, call.get())) {
    return RespondError(*exchange, *error);
  }
  if (context.style.strict) {
    if (const MaybeError error = RefuseUnknownFields(call->unknown_fields))
      return RespondError(*exchange, *error);
  }
  const bool waits = std::any_of(call->requests.begin(), call->requests.end(),
                                 [](const Request& request) { return request.has_media_files(); });
  auto run = [&context, body, exchange, call, engine = std::move(engine)]() mutable {
    const Status status = RunCall(context, std::move(engine), std::move(*call), exchange);
    if (!status.ok()) RespondError(*exchange, RefusedCall(status, body->get_object()));
  };
  if (!waits) return run();
  context.router.Post(exchange, std::move(run), Router::Lane::kMedia);
}

// Who may read a path's bodies; the first unless the body says otherwise.
struct Reader {
  Dialect::Endpoint endpoint;
  ErrorForm error_form;
};
using Readers = std::vector<Reader>;

// The only one that claims the body, else the first.
const Reader& Choose(const Readers& readers, const boost::json::object& body) {
  const Reader* chosen = nullptr;
  for (const Reader& reader : readers) {
    if (reader.endpoint.claims == nullptr || !reader.endpoint.claims(body)) continue;
    if (chosen != nullptr) return readers.front();
    chosen = &reader;
  }
  return chosen == nullptr ? readers.front() : *chosen;
}

void Read(const EndpointContext& context, const Readers& readers,
          const std::shared_ptr<Exchange>& exchange) {
  if (const MaybeError error = context.readiness.Refusal()) {
    return RespondError(*exchange, *error);
  }
  auto body = std::make_shared<boost::json::value>();
  if (const MaybeError error = ParseBody(exchange->request().body, body.get())) {
    return RespondError(*exchange, *error);
  }
  const Reader& reader = Choose(readers, body->get_object());
  exchange->set_error_form(reader.error_form);
  std::string model;
  if (const MaybeError error = ReadModelName(body->get_object(), context.models.names(), &model)) {
    return RespondError(*exchange, *error);
  }
  WithModel(context, model, exchange,
            [&context, parse = reader.endpoint.parse, model, body,
             exchange](std::shared_ptr<Engine> engine) {
              Generate(context, parse, model, body, std::move(engine), exchange);
            });
}

}  // namespace

Status RunCall(const EndpointContext& context, std::shared_ptr<Engine> engine, Call call,
               const std::shared_ptr<Exchange>& exchange) {
  return call.stream ? Stream(context, std::move(engine), std::move(call), exchange)
                     : Collect(context, std::move(engine), std::move(call), exchange);
}

void AddGenerateEndpoints(const EndpointContext& context,
                          std::span<const Dialect* const> dialects) {
  std::vector<std::pair<std::string_view, Readers>> paths;  // in the order of the dialects
  for (const Dialect* dialect : dialects) {
    for (const Dialect::Endpoint& endpoint : dialect->endpoints) {
      auto it = std::find_if(paths.begin(), paths.end(),
                             [&](const auto& path) { return path.first == endpoint.path; });
      if (it == paths.end()) it = paths.insert(it, {endpoint.path, {}});
      it->second.push_back({endpoint, dialect->error_form});
    }
  }
  for (auto& [path, readers] : paths) {
    const bool waits = std::any_of(readers.begin(), readers.end(),
                                   [](const Reader& reader) { return reader.endpoint.waits; });
    const Router::RouteOptions options = {
        .lane = waits ? Router::Lane::kMedia : Router::Lane::kWork,
        .error_form = readers.front().error_form};
    context.router.Add(
        "POST", std::string(path),
        [&context, readers = std::move(readers)](std::shared_ptr<Exchange> exchange) {
          Read(context, readers, exchange);
        },
        options);
  }
}

}  // namespace keel::apps
