#include "apps/wire/openai/scores.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "apps/wire/openai/vectors.h"
#include "apps/wire/prompts.h"

namespace keel::apps {
namespace json = boost::json;
namespace {

using Texts = std::vector<std::string>;

// A list of pairs; a single first text goes with each second one.
struct Pairs {
  Texts first, second;
  size_t size() const { return second.size(); }
  size_t first_of(size_t pair) const { return first.size() == 1 ? 0 : pair; }
};

double Cosine(std::span<const float> a, std::span<const float> b) {
  double ab = 0, aa = 0, bb = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    ab += double{a[i]} * b[i];
    aa += double{a[i]} * a[i];
    bb += double{b[i]} * b[i];
  }
  return ab / std::max(std::sqrt(aa * bb), 1e-12);
}

// The answer to the requests that AddRequests made.
class PairAnswer : public VectorAnswer {
 protected:
  PairAnswer(std::string id, std::string model, Pairs pairs, bool by_cosine)
      : VectorAnswer(std::move(id), std::move(model)),
        pairs_(std::move(pairs)),
        by_cosine_(by_cosine) {}

  const Pairs& pairs() const { return pairs_; }
  double Score(size_t pair) const {
    if (!by_cosine_) return NumberOf(vector(pair)[0]);
    const std::span<const float> second = vector(pairs_.first.size() + pair);
    return NumberOf(static_cast<float>(Cosine(vector(pairs_.first_of(pair)), second)));
  }

 private:
  const Pairs pairs_;
  const bool by_cosine_;
};

class ScoreAnswer : public PairAnswer {
 public:
  ScoreAnswer(const CallContext& context, Pairs pairs, bool by_cosine)
      : PairAnswer("score-" + context.request_id, context.model, std::move(pairs), by_cosine) {}

 private:
  void AddContent(json::object& response) const override {
    json::array& data = response["data"].emplace_array();
    for (size_t i = 0; i < pairs().size(); ++i)
      data.push_back({{"index", i}, {"object", "score"}, {"score", Score(i)}});
  }
};

class RerankAnswer : public PairAnswer {
 public:
  RerankAnswer(const CallContext& context, Pairs pairs, bool by_cosine, size_t top_n,
               bool with_documents)
      : PairAnswer("rerank-" + context.request_id, context.model, std::move(pairs), by_cosine),
        top_n_(top_n),
        with_documents_(with_documents) {}

 private:
  void AddContent(json::object& response) const override {
    std::vector<size_t> order(pairs().size());
    std::iota(order.begin(), order.end(), size_t{0});
    std::vector<double> scores;
    for (const size_t i : order) scores.push_back(Score(i));
    std::stable_sort(order.begin(), order.end(),
                     [&](size_t a, size_t b) { return scores[a] > scores[b]; });
    if (top_n_ > 0 && top_n_ < order.size()) order.resize(top_n_);
    json::array& results = response["results"].emplace_array();
    for (const size_t i : order) {
      json::object result = {{"index", i}, {"relevance_score", scores[i]}};
      if (with_documents_) result["document"] = {{"text", pairs().second[i]}};
      results.push_back(std::move(result));
    }
  }

  const size_t top_n_;  // 0: all
  const bool with_documents_;
};

// A string, or a list of strings; Cohere's documents are objects with a text too.
Texts ReadTexts(Fields& fields, const std::string& name) {
  const auto [single, list] =
      ReadTextOrList(fields, name, "a string or a list of strings (not empty)");
  if (single != nullptr) return {std::string(*single)};
  if (list == nullptr) return {};
  Texts texts;
  for (const json::value& item : *list) {
    const json::value* text = &item;
    if (const json::object* object = item.if_object()) text = object->if_contains("text");
    if (text == nullptr || !text->is_string()) {
      fields.FailType(name + "[" + std::to_string(texts.size()) + "]", item,
                      "a string, or an object with a text");
      return {};
    }
    texts.emplace_back(text->get_string());
  }
  return texts;
}

// A request for each pair, or of an embedding model for each text. Returns whether it is the latter.
bool AddRequests(Fields& fields, const CallContext& context, const Pairs& pairs,
                 const char* first_field, const char* second_field, Call* call) {
  const VectorModel model = DescribeVectors(context.engine);
  const bool by_cosine = model.task != "classify";
  if (!by_cosine && model.size != 1) {
    fields.Fail(InvalidField("model", "the model has " + std::to_string(model.size) +
                                          " labels, and a score needs a model with one, or one "
                                          "that gives embeddings; use /classify"));
  }
  CheckNumTexts(fields, second_field, by_cosine ? pairs.first.size() + pairs.size() : pairs.size(),
                context.limits);
  const auto add = [&](const char* field, const std::string& text) -> Request* {
    if (!fields.ok()) return nullptr;
    call->requests.push_back(
        NewVectorRequest(fields, field, Prompt(text), by_cosine ? "embed" : "classify"));
    return &call->requests.back();
  };
  if (by_cosine) {
    for (const std::string& text : pairs.first) add(first_field, text);
    for (const std::string& text : pairs.second) add(second_field, text);
    return true;
  }
  for (size_t i = 0; i < pairs.size(); ++i) {
    Request* request = add(first_field, pairs.first[pairs.first_of(i)]);
    if (request == nullptr) break;
    const Status status = request->SetString("text_pair", pairs.second[i]);
    if (!status.ok()) fields.Fail(FromEngine(status, second_field));
  }
  return false;
}

}  // namespace

MaybeError ParseScore(const json::object& body, const CallContext& context, Call* call) {
  // Names of the two sides, the newest first.
  constexpr std::pair<const char*, const char*> kNames[] = {
      {"queries", "documents"}, {"data_1", "data_2"}, {"text_1", "text_2"}};
  Fields fields(body);
  CheckVectorFields(fields, {"text_1", "text_2", "data_1", "data_2", "queries", "documents"}, call);
  std::pair<const char*, const char*> names = kNames[2];
  for (const auto& known : kNames)
    if (fields.Has(known.first)) names = known;
  Pairs pairs = {ReadTexts(fields, names.first), ReadTexts(fields, names.second)};
  if (fields.ok() && pairs.first.size() != 1 && pairs.first.size() != pairs.second.size()) {
    fields.Fail(InvalidField(
        names.first, std::string(names.first) + " has " + std::to_string(pairs.first.size()) +
                         " texts and " + names.second + " " + std::to_string(pairs.second.size()) +
                         ", expected one, or as many"));
  }
  if (!fields.ok()) return fields.error();
  const bool by_cosine = AddRequests(fields, context, pairs, names.first, names.second, call);
  call->answer = std::make_unique<ScoreAnswer>(context, std::move(pairs), by_cosine);
  return fields.error();
}

MaybeError ParseRerank(const json::object& body, const CallContext& context, Call* call) {
  Fields fields(body);
  CheckVectorFields(fields, {"query", "documents", "top_n", "return_documents"}, call);
  const auto query = fields.String("query");
  if (!query.has_value()) fields.Fail(InvalidField("query", "query is missing, expected a string"));
  Pairs pairs = {{std::string(query.value_or(""))}, ReadTexts(fields, "documents")};
  const int64_t top_n = fields.Int("top_n").value_or(0);
  if (top_n < 0) {
    fields.Fail(
        InvalidField("top_n", "top_n is " + std::to_string(top_n) + ", expected at least 0 (all)"));
  }
  const bool with_documents = fields.Bool("return_documents").value_or(true);
  if (!fields.ok()) return fields.error();
  const bool by_cosine = AddRequests(fields, context, pairs, "query", "documents", call);
  call->answer = std::make_unique<RerankAnswer>(context, std::move(pairs), by_cosine,
                                                static_cast<size_t>(top_n), with_documents);
  return fields.error();
}

}  // namespace keel::apps
