#include "core/conformance/processor_checks.h"

#include <algorithm>
#include <map>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/status.h"
#include "core/conformance/processor_cases.h"
#include "core/graph/encoder_inputs.h"
#include "core/graph/merge_inputs.h"

namespace keel::conformance {
namespace {

using Counts = std::vector<keel_media_count>;

std::string SizeText(const keel_media& m) {
  if (m.modality == KEEL_MODALITY_AUDIO) return absl::StrCat(m.length, " samples");
  return absl::StrCat(
      m.modality == KEEL_MODALITY_VIDEO ? absl::StrCat(m.length, " frames of ") : "", m.height, "x",
      m.width);
}

Finding Failed(absl::string_view what, const absl::Status& status) {
  return Fail(absl::StrCat(what, ": ", status.message()));
}

int64_t CountIn(const std::vector<int64_t>& ids, const std::set<int64_t>& wanted) {
  return std::count_if(ids.begin(), ids.end(), [&](int64_t id) { return wanted.count(id) != 0; });
}

int64_t CountIn(const std::string& text, const std::string& word) {
  int64_t n = 0;
  for (size_t at = text.find(word); !word.empty() && at != std::string::npos;
       at = text.find(word, at + word.size())) {
    ++n;
  }
  return n;
}

bool SameCount(const keel_media_count& a, const keel_media_count& b) {
  return a.tokens == b.tokens && a.features == b.features && a.patches == b.patches &&
         a.grid_t == b.grid_t && a.grid_h == b.grid_h && a.grid_w == b.grid_w && a.runs == b.runs;
}

// Into how many runs text cuts what is not text.
int64_t RunsIn(const std::vector<int64_t>& types) {
  int64_t runs = 0, before = KEEL_MODALITY_TEXT;
  for (const int64_t type : types) {
    runs += type != KEEL_MODALITY_TEXT && before == KEEL_MODALITY_TEXT;
    before = type;
  }
  return runs;
}

// A prompt with one item is as long as count says.
Finding CheckExpanded(const ProcessorCase& c, const keel_media_count& count) {
  if (c.processor.functions().expand == nullptr) {
    const auto text = c.processor.Replacement(count, 0);
    if (!text.ok()) return Failed("replacement", text.status());
    const int64_t found = CountIn(*text, c.token);
    if (found == count.features) return Pass();
    return Fail(absl::StrCat("replacement has ", found, " times ", c.token, ", count says ",
                             count.features, " features"));
  }
  auto out = c.processor.Expand(c.Prompt(1), {count});
  if (!out.ok()) return Failed("expand", out.status());
  const std::vector<int64_t>& ids = out->ints["input_ids"];
  const std::vector<int64_t>& types = out->ints["mm_token_type_ids"];
  const int64_t tokens = CountIn(ids, c.ids), features = CountIn(ids, {c.feature});
  if (tokens != count.tokens || features != count.features) {
    return Fail(absl::StrCat("expand gives ", tokens, " tokens, of them ", features,
                             " for features; count says ", count.tokens, " and ", count.features));
  }
  if (types.size() != ids.size()) {
    return Fail(absl::StrCat("expand gives ", ids.size(), " input_ids and ", types.size(),
                             " mm_token_type_ids"));
  }
  for (size_t i = 0; i < ids.size(); ++i) {
    const bool is_media = c.ids.count(ids[i]) != 0;
    if (is_media == (types[i] == c.modality)) continue;
    return Fail(absl::StrCat("mm_token_type_ids[", i, "] is ", types[i], " where the id is ",
                             ids[i], is_media ? ", one of the item's" : ", text"));
  }
  const int64_t runs = RunsIn(types), counted = std::max<int64_t>(count.runs, 1);
  if (runs == counted) return Pass();
  return Fail(absl::StrCat("expand gives tokens in ", runs,
                           " runs, which text cuts, count says in ", counted));
}

// How many rows `encode` gives for these inputs.
absl::StatusOr<int64_t> RowsOf(const proto::Function& encode, const Delivered& inputs) {
  KEEL_ASSIGN_OR_RETURN(const NamedTensors tensors, TensorsOf(inputs));
  KEEL_ASSIGN_OR_RETURN(const SymbolSizes sizes, CheckInputs(encode, tensors));
  return RowsOfEncode(encode, sizes);
}

Finding CheckRowsOf(const ProcessorCase& c, const std::vector<keel_media>& media) {
  std::vector<keel_media> sizes = media;
  for (keel_media& one : sizes) one.data = nullptr;
  const auto counts = c.processor.CountAll(sizes);
  if (!counts.ok()) return Failed("count", counts.status());
  const auto inputs = c.processor.Preprocess(media);
  if (!inputs.ok()) return Failed("count takes it, but preprocess", inputs.status());
  int64_t features = 0, patches = 0;
  for (const keel_media_count& count : *counts)
    features += count.features, patches += count.patches;
  const auto pixels = inputs->tensors.find("pixel_values");
  if (pixels != inputs->tensors.end() && patches > 0 && pixels->second.dims[0] != patches) {
    return Fail(absl::StrCat("preprocess gives ", pixels->second.dims[0],
                             " rows of pixel_values, count says ", patches, " patches"));
  }
  if (c.encode == nullptr) return Pass();
  const absl::StatusOr<int64_t> rows = RowsOf(*c.encode, *inputs);
  if (!rows.ok()) return Failed("preprocess", rows.status());
  if (*rows == features * c.rows_per_feature) return Pass();
  const std::string each =
      c.rows_per_feature == 1 ? "" : absl::StrCat(" of ", c.rows_per_feature, " rows each");
  return Fail(
      absl::StrCat("encode gives ", *rows, " rows, count says ", features, " features", each));
}

// Floating-point inputs of several items are those of each, one behind the other.
Finding CheckPacked(const Delivered& first, const Delivered& second, const Delivered& both) {
  for (const auto& [name, tensor] : both.tensors) {
    const auto a = first.tensors.find(name), b = second.tensors.find(name);
    if (tensor.dtype != KEEL_F32 || a == first.tensors.end() || b == second.tensors.end()) continue;
    std::vector<uint8_t> packed = a->second.bytes;
    packed.insert(packed.end(), b->second.bytes.begin(), b->second.bytes.end());
    if (packed == tensor.bytes) continue;
    return Fail(absl::StrCat(name, " of two items is not that of the first, then of the second"));
  }
  return Pass();
}

// Where the model has a rule for every input: all of several items' are what those make of each one's.
Finding CheckMerged(const ProcessorCase& c, const Delivered& first, const Delivered& second,
                    const Delivered& both) {
  if (c.encode == nullptr || !CanMergeInputs(c.graph->spec(), *c.encode)) return Pass();
  const auto a = TensorsOf(first), b = TensorsOf(second), expected = TensorsOf(both);
  if (!a.ok() || !b.ok() || !expected.ok()) return Failed("preprocess", expected.status());
  const NamedTensors* const items[] = {&*a, &*b};
  const absl::StatusOr<NamedTensors> merged = MergeInputs(c.graph->spec(), *c.encode, items);
  if (!merged.ok()) return Failed("two items can't be put together", merged.status());
  for (const auto& [name, tensor] : *merged) {
    const auto given = expected->find(name);
    if (given != expected->end() && given->second.dims == tensor.dims &&
        given->second.bytes == tensor.bytes) {
      continue;
    }
    return Fail(absl::StrCat(name, " of two items is not what its merge rule makes of each one's"));
  }
  return Pass();
}

// All that a processor says to one item, as text.
std::string Answers(const ProcessorCase& c, const keel_media& media) {
  keel_media sizes = media;
  sizes.data = nullptr;
  const auto count = c.processor.Count(sizes);
  if (!count.ok()) return count.status().ToString();
  std::string text = absl::StrCat(count->tokens, " ", count->features, " ", count->patches, "\n");
  const auto inputs = c.processor.Preprocess({media});
  if (!inputs.ok()) return absl::StrCat(text, inputs.status().ToString());
  for (const auto& [name, tensor] : inputs->tensors) {
    absl::StrAppend(&text, name, " ");
    text.append(tensor.bytes.begin(), tensor.bytes.end());
  }
  if (c.processor.functions().expand == nullptr) return text;
  auto out = c.processor.Expand(c.Prompt(1), {*count});
  if (!out.ok()) return absl::StrCat(text, out.status().ToString());
  return absl::StrCat(text, absl::StrJoin(out->ints["input_ids"], " "));
}

std::vector<keel_media> ExtremeSizes(uint32_t modality) {
  const auto image = [&](int64_t height, int64_t width) {
    return TestMedia::Sizes(modality, height, width, modality == KEEL_MODALITY_VIDEO ? 3 : 1, 2);
  };
  if (modality != KEEL_MODALITY_AUDIO) {
    return {image(1, 1), image(1, 10000),       image(10000, 1), image(2, 3),
            image(0, 0), image(100000, 100000), image(13, 7919), image(3, 200)};
  }
  const auto sound = [&](int64_t samples) {
    return TestMedia::Sizes(modality, 0, 0, samples, 16000);
  };
  return {sound(1), sound(0), sound(7919), sound(int64_t{16000} * 3600)};
}

}  // namespace

Finding CheckProcessorCounts(const Subject& subject) {
  return ForEachProcessor(subject, [](const ProcessorCase& c) {
    for (const TestMedia& item : c.items) {
      const keel_media sizes = SizesOf(item);
      Trying(SizeText(sizes));
      const auto count = c.processor.Count(sizes);
      if (!count.ok()) return Failed("count", count.status());
      Finding finding = CheckExpanded(c, *count);
      if (finding.outcome == Outcome::kPass) continue;
      finding.message = absl::StrCat(SizeText(sizes), ": ", finding.message);
      return finding;
    }
    return Pass();
  });
}

Finding CheckProcessorRows(const Subject& subject) {
  return ForEachProcessor(subject, [](const ProcessorCase& c) {
    for (const TestMedia& item : c.items) {
      Trying(SizeText(item.media()));
      Finding finding = CheckRowsOf(c, {item.media()});
      if (finding.outcome == Outcome::kPass) continue;
      finding.message = absl::StrCat(SizeText(item.media()), ": ", finding.message);
      return finding;
    }
    return Pass();
  });
}

Finding CheckProcessorItems(const Subject& subject) {
  return ForEachProcessor(subject, [](const ProcessorCase& c) {
    if (c.items.size() < 2) return Pass();
    const keel_media first = c.items[0].media(), second = c.items[1].media();
    const std::string what = absl::StrCat(SizeText(first), " and ", SizeText(second));
    Trying(what);
    const auto a = c.processor.Count(SizesOf(c.items[0]));
    const auto b = c.processor.Count(SizesOf(c.items[1]));
    const auto both = c.processor.CountAll({SizesOf(c.items[0]), SizesOf(c.items[1])});
    if (!a.ok() || !b.ok() || !both.ok()) return Failed("count", both.status());
    if (!SameCount(*a, (*both)[0]) || !SameCount(*b, (*both)[1]))
      return Fail(absl::StrCat("counts ", what, " otherwise together than each by itself"));
    const auto inputs_a = c.processor.Preprocess({first});
    const auto inputs_b = c.processor.Preprocess({second});
    const auto inputs = c.processor.Preprocess({first, second});
    if (!inputs_a.ok() || !inputs_b.ok() || !inputs.ok())
      return Failed(absl::StrCat("preprocess of ", what), inputs.status());
    const Finding packed = CheckPacked(*inputs_a, *inputs_b, *inputs);
    if (packed.outcome != Outcome::kPass) return packed;
    const Finding merged = CheckMerged(c, *inputs_a, *inputs_b, *inputs);
    if (merged.outcome != Outcome::kPass || c.processor.functions().expand == nullptr)
      return merged;
    int64_t tokens[3] = {};
    const Counts prompts[3] = {*both, {*a}, {*b}};
    for (int i = 0; i < 3; ++i) {
      auto prompt = c.processor.Expand(c.Prompt(prompts[i].size()), prompts[i]);
      if (!prompt.ok()) return Failed("expand", prompt.status());
      tokens[i] = CountIn(prompt->ints["input_ids"], c.ids);
    }
    if (tokens[0] == tokens[1] + tokens[2]) return Pass();
    return Fail(absl::StrCat("expand gives ", tokens[0],
                             " tokens for two items, for each by itself ", tokens[1], " and ",
                             tokens[2]));
  });
}

Finding CheckProcessorThreads(const Subject& subject) {
  return ForEachProcessor(subject, [](const ProcessorCase& c) {
    constexpr int kThreads = 4, kRounds = 10;
    std::vector<keel_media> media;
    std::vector<std::string> expected;
    for (const TestMedia& item : c.items) {
      media.push_back(item.media());
      expected.push_back(Answers(c, media.back()));
    }
    if (media.empty()) return Pass();
    Trying("calls on several threads at once");
    std::vector<std::thread> threads;
    std::vector<int> wrong(kThreads, 0);
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([&, t] {
        for (int round = 0; round < kRounds; ++round) {
          const size_t i = static_cast<size_t>(t + round) % media.size();
          wrong[t] += Answers(c, media[i]) != expected[i];
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    for (const int n : wrong) {
      if (n > 0) return Fail("answers otherwise when it is called on several threads at once");
    }
    return Pass();
  });
}

Finding CheckProcessorPlaceholders(const Subject& subject) {
  return ForEachProcessor(subject, [](const ProcessorCase& c) {
    if (c.items.empty() || c.processor.functions().expand == nullptr) return Pass();
    const auto count = c.processor.Count(SizesOf(c.items[0]));
    if (!count.ok()) return Failed("count", count.status());
    struct Mismatch {
      size_t placeholders;
      Counts items;
    };
    for (const Mismatch& m : {Mismatch{2, {*count}}, Mismatch{1, {}}, Mismatch{0, {*count}}}) {
      const std::string what =
          absl::StrCat(m.placeholders, " placeholders with ", m.items.size(), " items");
      Trying(absl::StrCat("expand of ", what));
      const auto out = c.processor.Expand(c.Prompt(m.placeholders), m.items);
      if (out.ok()) {
        return Fail(absl::StrCat("expand takes ", what,
                                 "; a placeholder that a user typed would become an item's"));
      }
    }
    return Pass();
  });
}

Finding CheckProcessorSizes(const Subject& subject) {
  return ForEachProcessor(subject, [](const ProcessorCase& c) {
    constexpr int64_t kMaxPixels = 100000;
    for (const keel_media& sizes : ExtremeSizes(c.modality)) {
      const std::string what = SizeText(sizes);
      Trying(absl::StrCat("count of ", what));
      const auto count = c.processor.Count(sizes);
      if (!count.ok() && absl::StrContains(count.status().message(), "no message"))
        return Fail(absl::StrCat("count refuses ", what, " without a word"));
      if (!count.ok()) continue;
      if (count->tokens < 0 || count->features < 0 || count->features > count->tokens ||
          count->runs < 0 || count->runs > count->tokens) {
        return Fail(absl::StrCat("count of ", what, " gives ", count->tokens, " tokens in ",
                                 count->runs, " runs and ", count->features, " features"));
      }
      if (std::max(sizes.height * sizes.width, sizes.length) > kMaxPixels) continue;
      Trying(absl::StrCat("preprocess of ", what));
      const TestMedia media = MakeMedia(c.modality, sizes.height, sizes.width, sizes.length);
      const auto inputs = c.processor.Preprocess({media.media()});
      if (!inputs.ok())
        return Failed(absl::StrCat("count takes ", what, ", but preprocess"), inputs.status());
    }
    return Pass();
  });
}

}  // namespace keel::conformance
