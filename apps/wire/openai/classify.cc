#include "apps/wire/openai/classify.h"

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "apps/wire/openai/vectors.h"

namespace keel::apps {
namespace json = boost::json;
namespace {

class ClassifyAnswer : public VectorAnswer {
 public:
  explicit ClassifyAnswer(const CallContext& context)
      : VectorAnswer("classify-" + context.request_id, context.model),
        labels_(DescribeVectors(context.engine).labels) {}

 private:
  void AddContent(json::object& response) const override {
    json::array& data = response["data"].emplace_array();
    for (size_t i = 0; i < num_vectors(); ++i) {
      const std::span<const float> probs = vector(i);
      const auto best =
          static_cast<size_t>(std::max_element(probs.begin(), probs.end()) - probs.begin());
      json::value label;
      if (best < labels_.size()) label = json::value(labels_[best]);
      data.push_back({{"index", i},
                      {"label", std::move(label)},
                      {"probs", NumbersOf(probs)},
                      {"num_classes", probs.size()}});
    }
  }

  const std::vector<std::string> labels_;
};

}  // namespace

MaybeError ParseClassify(const json::object& body, const CallContext& context, Call* call) {
  Fields fields(body);
  CheckVectorFields(fields, {"input"}, call);
  const std::vector<Prompt> prompts = ReadPrompts(fields, "input");
  CheckNumTexts(fields, "input", prompts.size(), context.limits);
  for (const Prompt& prompt : prompts) {
    if (!fields.ok()) break;
    call->requests.push_back(NewVectorRequest(fields, "input", prompt, "classify"));
  }
  call->answer = std::make_unique<ClassifyAnswer>(context);
  return fields.error();
}

}  // namespace keel::apps
