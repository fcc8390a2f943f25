#include "apps/wire/openai/embeddings.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "apps/wire/openai/vectors.h"

namespace keel::apps {
namespace json = boost::json;
namespace {

// The two formats, which differ in words.
struct Form {
  const char* id;      // what ids begin with
  const char* object;  // of an entry
  const char* field;   // of an entry, that holds the vector
};
constexpr Form kEmbeddings = {"embd-", "embedding", "embedding"};
constexpr Form kPooling = {"pool-", "pooling", "data"};

class VectorsAnswer : public VectorAnswer {
 public:
  VectorsAnswer(const CallContext& context, const Form& form, bool base64)
      : VectorAnswer(form.id + context.request_id, context.model), form_(form), base64_(base64) {}

 private:
  void AddContent(json::object& response) const override {
    json::array& data = response["data"].emplace_array();
    for (size_t i = 0; i < num_vectors(); ++i) {
      json::object entry = {{"object", form_.object}, {"index", i}};
      if (base64_) {
        entry[form_.field] = Base64Of(vector(i));
      } else {
        entry[form_.field] = NumbersOf(vector(i));
      }
      data.push_back(std::move(entry));
    }
  }

  const Form& form_;
  const bool base64_;
};

bool ReadBase64(Fields& fields) {
  const std::string_view format = fields.String("encoding_format").value_or("float");
  if (format != "float" && format != "base64") {
    fields.Fail(InvalidField("encoding_format",
                             "encoding_format is " + Quote(format) + ", expected float or base64"));
  }
  return format == "base64";
}

MaybeError Parse(Fields& fields, const CallContext& context, const Form& form,
                 const std::string& task, Call* call) {
  const bool base64 = ReadBase64(fields);
  const std::vector<Prompt> prompts = ReadPrompts(fields, "input");
  CheckNumTexts(fields, "input", prompts.size(), context.limits);
  for (const Prompt& prompt : prompts) {
    if (!fields.ok()) break;
    call->requests.push_back(NewVectorRequest(fields, "input", prompt, task));
  }
  call->answer = std::make_unique<VectorsAnswer>(context, form, base64);
  return fields.error();
}

}  // namespace

MaybeError ParseEmbeddings(const json::object& body, const CallContext& context, Call* call) {
  Fields fields(body);
  CheckVectorFields(fields, {"input", "encoding_format", "dimensions"}, call);
  return Parse(fields, context, kEmbeddings, "embed", call);
}

MaybeError ParsePooling(const json::object& body, const CallContext& context, Call* call) {
  Fields fields(body);
  CheckVectorFields(fields, {"input", "encoding_format", "dimensions", "task"}, call);
  std::string task = DescribeVectors(context.engine).task;
  if (task == "generate") task = "embed";  // which the engine refuses, with words
  if (const auto asked = fields.String("task"); asked.has_value()) task = *asked;
  if (task != "embed" && task != "classify") {
    fields.Fail(InvalidField("task", "task is " + Quote(task) + ", expected embed or classify"));
  }
  return Parse(fields, context, kPooling, task, call);
}

}  // namespace keel::apps
