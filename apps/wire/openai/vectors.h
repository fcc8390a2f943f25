// What the endpoints that answer with vectors, or with what is made of them, have in common.
#ifndef KEEL_APPS_WIRE_OPENAI_VECTORS_H_
#define KEEL_APPS_WIRE_OPENAI_VECTORS_H_

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "apps/wire/answer.h"
#include "apps/wire/call.h"
#include "apps/wire/fields.h"
#include "apps/wire/prompts.h"
#include "boost/json/array.hpp"
#include "boost/json/object.hpp"

namespace keel::apps {

// What the engine says of its vectors.
struct VectorModel {
  std::string task = "generate";  // or "embed" or "classify"
  int64_t size = 0;
  std::vector<std::string> labels;
};
VectorModel DescribeVectors(const Engine& engine);

// Checks the body's names: those that all these endpoints have, and its `own`. Leaves an error for
// what other servers take here and this one does not, and notes in `call` what nobody knows.
void CheckVectorFields(Fields& fields, std::initializer_list<std::string_view> own, Call* call);
// More texts than the engine ever takes at once are refused, before one is submitted.
void CheckNumTexts(Fields& fields, const std::string& field, size_t texts,
                   const CallLimits& limits);
// A request for the vector of a text, of the field `field`, with the body's options.
Request NewVectorRequest(Fields& fields, std::string_view field, const Prompt& prompt,
                         const std::string& task);

// {"id", "object": "list", "created", "model", "data", "usage"}, of which "data" is the endpoint's. It is
// never streamed.
class VectorAnswer : public Answer {
 public:
  std::string Body() override;

 protected:
  // `id`: "embd-17".
  VectorAnswer(std::string id, std::string model);

  size_t num_vectors() const { return collected().size(); }
  std::span<const float> vector(size_t request) const {
    return collected().at({request, 0}).output.vector;
  }
  // Adds what the endpoint says, "data" or another field.
  virtual void AddContent(boost::json::object& response) const = 0;

 private:
  // A text that was cancelled is a shorter one; a vector is whole, or none.
  MaybeError Refuse(const Piece& piece) const override;
  void AppendPiece(const Piece&, std::string*) override {}
  void AppendError(const CallError&, std::string*) override {}
  void AppendLast(std::string*) override {}

  const std::string id_, model_;
  const int64_t created_;
};

// With as few digits as tell a float from its neighbours.
boost::json::array NumbersOf(std::span<const float> vector);
double NumberOf(float number);
// Little-endian float32, as OpenAI's clients decode it.
std::string Base64Of(std::span<const float> vector);

}  // namespace keel::apps

#endif  // KEEL_APPS_WIRE_OPENAI_VECTORS_H_
