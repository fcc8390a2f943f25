#include "core/conformance/processor_cases.h"

#include <cmath>
#include <map>
#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/file.h"
#include "core/base/json.h"
#include "core/conformance/subject.h"
#include "core/graph/feature_rows.h"
#include "core/graph/stages.h"
#include "core/plugin/interfaces.h"

namespace keel::conformance {
namespace {

struct Modality {
  uint32_t number;
  const char* name;
};
constexpr Modality kModalities[] = {
    {KEEL_MODALITY_IMAGE, "image"}, {KEEL_MODALITY_VIDEO, "video"}, {KEEL_MODALITY_AUDIO, "audio"}};

// The ids of a checkpoint's tokenizer.json; a token that it lacks gets a number of its own.
class Tokens {
 public:
  explicit Tokens(const std::string& dir) {
    const absl::StatusOr<std::string> text = ReadFile(JoinPath(dir, "tokenizer.json"));
    if (!text.ok()) return;
    const absl::StatusOr<boost::json::value> json = ParseJson(*text, "tokenizer.json");
    if (!json.ok() || !json->is_object()) return;
    const boost::json::value* added = json->as_object().if_contains("added_tokens");
    if (added == nullptr || !added->is_array()) return;
    for (const boost::json::value& token : added->get_array()) {
      const boost::json::object* entry = token.if_object();
      if (entry == nullptr) continue;
      const boost::json::value* content = entry->if_contains("content");
      const boost::json::value* id = entry->if_contains("id");
      if (content != nullptr && content->is_string() && id != nullptr && id->is_int64())
        ids_[std::string(content->get_string())] = id->get_int64();
    }
  }

  // -1: nobody has asked for it, and it is none of the tokenizer's.
  int64_t Find(const std::string& token) const {
    const auto found = ids_.find(token);
    return found == ids_.end() ? -1 : found->second;
  }
  int64_t Of(const std::string& token) {
    constexpr int64_t kFirstInvented = 1'000'000;
    return ids_.try_emplace(token, kFirstInvented + static_cast<int64_t>(ids_.size()))
        .first->second;
  }

 private:
  std::map<std::string, int64_t> ids_;
};

uint8_t Pixel(int64_t y, int64_t x, int64_t c) {
  return static_cast<uint8_t>(y * 31 + x * 17 + c * 83 + y * x % 7);
}

std::vector<TestMedia> OrdinaryItems(uint32_t modality) {
  if (modality == KEEL_MODALITY_AUDIO)
    return {MakeMedia(modality, 0, 0, 16000), MakeMedia(modality, 0, 0, 7919)};
  const int64_t frames = modality == KEEL_MODALITY_VIDEO ? 4 : 1;
  std::vector<TestMedia> items;
  for (const auto& [height, width] : {std::pair{64, 48}, {97, 61}, {30, 40}, {224, 224}})
    items.push_back(MakeMedia(modality, height, width, frames));
  return items;
}

// The modalities that the processor has tokens for.
std::vector<ProcessorCase> CasesOf(const ProcessorUnderTest& processor, const Tokens& tokenizer,
                                   const proto::Graph* graph) {
  std::vector<ProcessorCase> cases;
  const absl::StatusOr<Delivered> tokens = processor.Tokens();
  if (!tokens.ok()) return cases;
  std::set<int64_t> all;
  for (const auto& [key, values] : tokens->ints) all.insert(values.begin(), values.end());
  std::vector<int64_t> text;
  for (int64_t id = 1; text.size() < 3; ++id) {
    if (all.count(id) == 0) text.push_back(id);
  }
  for (const Modality& m : kModalities) {
    const auto id = tokens->ints.find(absl::StrCat(m.name, "_token_id"));
    if (id == tokens->ints.end() || id->second.size() != 1) continue;
    ProcessorCase c = {.processor = processor, .modality = m.number, .name = m.name};
    c.feature = c.placeholder = id->second[0];
    const auto token = tokens->texts.find(absl::StrCat(m.name, "_token"));
    if (token != tokens->texts.end()) c.token = token->second;
    if (const int64_t said = tokenizer.Find(c.token); said >= 0) c.placeholder = said;
    const auto ids = tokens->ints.find(absl::StrCat(m.name, "_token_ids"));
    if (ids != tokens->ints.end()) c.ids.insert(ids->second.begin(), ids->second.end());
    c.ids.insert(c.feature);
    c.text = text;
    c.graph = graph;
    c.encode = graph == nullptr ? nullptr : FindFunction(*graph, absl::StrCat("encode/", m.name));
    if (graph != nullptr) c.rows_per_feature = RowsPerFeature(*graph);
    for (TestMedia& item : OrdinaryItems(m.number)) {
      if (processor.Count(SizesOf(item)).ok()) c.items.push_back(std::move(item));
    }
    cases.push_back(std::move(c));
  }
  return cases;
}

}  // namespace

std::vector<int64_t> ProcessorCase::Prompt(size_t n) const {
  std::vector<int64_t> ids = {text[0]};
  for (size_t i = 0; i < n; ++i) {
    ids.push_back(placeholder);
    ids.push_back(text[1 + i % 2]);
  }
  return ids;
}

absl::StatusOr<NamedTensors> TensorsOf(const Delivered& delivered) {
  NamedTensors tensors;
  for (const auto& [name, tensor] : delivered.tensors) {
    const std::optional<DType> dtype = DTypeFromImage(tensor.dtype);
    if (!dtype.has_value()) {
      return absl::InvalidArgumentError(
          absl::StrCat("input '", name, "' has the type ", tensor.dtype, ", which no host knows"));
    }
    tensors[name] = HostTensor{*dtype, tensor.dims, tensor.bytes};
  }
  return tensors;
}

keel_media SizesOf(const TestMedia& media) {
  keel_media sizes = media.media();
  sizes.data = nullptr;
  return sizes;
}

TestMedia MakeMedia(uint32_t modality, int64_t height, int64_t width, int64_t length) {
  constexpr double kFrameRate = 2, kSampleRate = 16000;
  if (modality == KEEL_MODALITY_IMAGE) return TestMedia::Image(height, width, Pixel);
  if (modality == KEEL_MODALITY_VIDEO)
    return TestMedia::Video(length, height, width, kFrameRate, Pixel);
  std::vector<float> samples;
  for (int64_t i = 0; i < length; ++i)
    samples.push_back(static_cast<float>(std::sin(0.03 * static_cast<double>(i))) / 2);
  return TestMedia::Audio(std::move(samples), kSampleRate);
}

Finding ForEachProcessor(const Subject& subject,
                         absl::FunctionRef<Finding(const ProcessorCase&)> check) {
  const auto plugin = LoadPlugin(subject, Interfaces());
  if (!plugin.ok()) return Skip(absl::StrCat("does not load: ", plugin.status().message()));
  if ((*plugin)->classes().processors.empty()) return Pass("brings no processor");
  if (subject.configs.empty()) return Skip("no --config was given");
  std::map<std::string, proto::Graph> graphs;  // by directory
  ForEachModel(subject, [&](ModelUnderTest& model) {
    Stages stages = Record(model);
    if (stages.status().ok()) graphs[model.dir] = std::move(stages.model.graph);
    return Pass();
  });
  for (const std::string& dir : subject.configs) {
    for (const keel_processor_class* c : (*plugin)->classes().processors) {
      Tokens tokens(dir);
      const auto processor = ProcessorUnderTest::Create(
          *plugin, c, dir, [&](const std::string& token) { return tokens.Of(token); });
      if (!processor.ok()) return Skip(absl::StrCat(dir, ": ", processor.status().message()));
      const auto graph = graphs.find(dir);
      for (const ProcessorCase& one :
           CasesOf(**processor, tokens, graph == graphs.end() ? nullptr : &graph->second)) {
        Finding finding = check(one);
        if (finding.outcome == Outcome::kPass) continue;
        finding.message =
            absl::StrCat(dir, ": ", c->names[0], ", ", one.name, ": ", finding.message);
        return finding;
      }
    }
  }
  return Pass();
}

}  // namespace keel::conformance
