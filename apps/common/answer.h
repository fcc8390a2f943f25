// What all OpenAI wire formats have in common: a call that is valid, and how its outputs become one
// response or a stream of events. What differs is behind WireFormat.
#ifndef KEEL_APPS_COMMON_ANSWER_H_
#define KEEL_APPS_COMMON_ANSWER_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "apps/common/api_error.h"
#include "apps/common/generation.h"
#include "boost/json/object.hpp"
#include "sdk/keel/engine.h"

namespace keel::apps {

// The model behind an endpoint, as clients see it.
struct ServedModel {
  std::vector<std::string> names;  // the first is the one in responses that named none
  int64_t max_model_len = 0;       // 0: not known
  std::string root;                // where it was loaded from
  int64_t created = 0;             // seconds since 1970
};

// The JSON of one wire format. Used by one thread at a time, for one call.
class WireFormat {
 public:
  virtual ~WireFormat() = default;

  virtual std::string_view id_prefix() const = 0;
  virtual std::string_view object() const = 0;
  virtual std::string_view chunk_object() const = 0;
  // All of choice `index`; `whole` is what its pieces make together.
  virtual boost::json::object Choice(size_t index, const Piece& whole) = 0;
  // The chunks' choices for a piece of choice `index`; none if there is nothing to say.
  virtual std::vector<boost::json::object> Deltas(size_t index, const Piece& piece) = 0;
  // Fields beside "choices" that come from a choice's first piece.
  virtual void AddTopLevel(const Piece& /*first*/, boost::json::object* /*response*/) {}
};

// A valid call: what the engine is asked, and how to answer.
struct Call {
  std::vector<Request> requests;  // one a prompt
  size_t n = 1;                   // sequences of each
  std::string model;              // the name to answer with
  bool stream = false;
  bool include_usage = false;           // one more chunk with the usage
  bool continuous_usage_stats = false;  // the usage so far in every chunk
  std::unique_ptr<WireFormat> format;
};

struct Usage {
  size_t prompt_tokens = 0;
  size_t completion_tokens = 0;
  size_t cached_tokens = 0;
};

// Turns the pieces of a call into its response. Used by one thread at a time.
class Answer {
 public:
  Answer(Call call, std::string_view request_id);

  const Call& call() const { return call_; }
  const Usage& usage() const { return usage_; }
  // Why the call failed, once a piece has said so.
  const MaybeError& error() const { return error_; }

  // Not streamed: collect all pieces, then ask for the body.
  void Collect(Piece piece);
  std::string Body();

  // Streamed: server-sent events of a piece; then of the end.
  void AppendEvents(Piece piece, std::string* events);
  void AppendEnd(std::string* events);

 private:
  void Count(const Piece& piece);
  boost::json::object Head(std::string_view object) const;
  boost::json::object UsageJson() const;
  size_t ChoiceIndex(const Piece& piece) const {
    return piece.prompt * call_.n + piece.output.index;
  }

  Call call_;
  std::string id_;
  int64_t created_;
  Usage usage_;
  MaybeError error_;
  std::map<size_t, Piece> choices_;  // collected ones by index
};

// Texts of single tokens, for log-probabilities. Keeps what it has looked up.
class TokenTexts {
 public:
  explicit TokenTexts(const Engine& engine) : engine_(engine) {}
  const std::string& Text(int32_t id);

 private:
  const Engine& engine_;
  std::unordered_map<int32_t, std::string> texts_;
};

// A log-probability as JSON can hold it (no infinity).
double FiniteLogprob(float logprob);
// Null for an empty text.
boost::json::value TextOrNull(const std::string& text);
boost::json::array ToJson(const std::vector<int32_t>& ids);
// The "stop_reason" of vLLM: the stop string, the number of the stop token, or null.
boost::json::value StopReason(const OwnedOutput& output);

}  // namespace keel::apps

#endif  // KEEL_APPS_COMMON_ANSWER_H_
