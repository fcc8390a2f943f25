#include "core/processor/media_prompt.h"

#include <algorithm>
#include <array>
#include <set>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"

namespace keel {
namespace {

constexpr uint32_t kModalities[] = {KEEL_MODALITY_IMAGE, KEEL_MODALITY_VIDEO, KEEL_MODALITY_AUDIO};

// Null: nobody takes that modality.
const PlaceholderTokens* TokensOf(const Placeholders& placeholders, uint32_t modality) {
  return placeholders[modality].has_value() ? &*placeholders[modality] : nullptr;
}

absl::Status CheckPlaceholders(const Placeholders& placeholders, absl::Span<const int32_t> ids,
                               absl::Span<const keel_media_count> items,
                               absl::string_view processor) {
  for (const uint32_t modality : kModalities) {
    const auto given = std::count_if(items.begin(), items.end(), [&](const keel_media_count& item) {
      return item.modality == modality;
    });
    const PlaceholderTokens* tokens = TokensOf(placeholders, modality);
    if (tokens == nullptr) {
      if (given == 0) continue;
      return absl::InvalidArgumentError(absl::StrCat("the request has ", given, " items of ",
                                                     ModalityName(modality), ", which ", processor,
                                                     " does not take"));
    }
    const auto found = std::count(ids.begin(), ids.end(), tokens->placeholder);
    if (found == given) continue;
    return absl::InvalidArgumentError(absl::StrCat(
        "the prompt has ", found, " placeholders ", tokens->text, " and the request ", given,
        " items of ", ModalityName(modality), ", expected one placeholder an item"));
  }
  return absl::OkStatus();
}

// Reads an expanded prompt beside the one it was made of.
class SpanReader {
 public:
  SpanReader(const Placeholders& placeholders, absl::Span<const int32_t> prompt,
             absl::Span<const keel_media_count> items, const ExpandedIds& expanded,
             absl::string_view processor)
      : placeholders_(placeholders),
        prompt_(prompt),
        items_(items),
        expanded_(expanded),
        processor_(processor) {}

  absl::StatusOr<std::vector<MediaTokensSpan>> Read() {
    std::vector<MediaTokensSpan> spans(items_.size());
    for (size_t begin = 0;;) {  // of a text
      size_t end = begin;
      while (end < prompt_.size() && ModalityOf(prompt_[end]) == KEEL_MODALITY_TEXT) ++end;
      KEEL_RETURN_IF_ERROR(TakeText(begin, end));
      if (end == prompt_.size()) break;
      const size_t item = NextItem(ModalityOf(prompt_[end]));
      KEEL_ASSIGN_OR_RETURN(spans[item], TakeItem(item));
      begin = end + 1;
    }
    if (at_ == expanded_.ids.size()) return spans;
    return Broken(absl::StrCat("the expanded prompt goes on behind its end, at token ", at_));
  }

 private:
  absl::Status Broken(absl::string_view what) const {
    return absl::InternalError(absl::StrCat("processor ", processor_, ": ", what));
  }

  uint32_t ModalityOf(int32_t id) const {
    for (const uint32_t modality : kModalities) {
      const PlaceholderTokens* tokens = TokensOf(placeholders_, modality);
      if (tokens != nullptr && tokens->placeholder == id) return modality;
    }
    return KEEL_MODALITY_TEXT;
  }

  // CheckPlaceholders has seen that there is one.
  size_t NextItem(uint32_t modality) {
    size_t& next = next_[modality];
    while (items_[next].modality != modality) ++next;
    return next++;
  }

  // The prompt's tokens [begin, end), which are all up to an item. What a processor puts before and behind them may have
  // joined the first and the last: two newlines and one are one token of three.
  absl::Status TakeText(size_t begin, size_t end) {
    const size_t first = at_;
    while (at_ < expanded_.ids.size() && expanded_.types[at_] == KEEL_MODALITY_TEXT) ++at_;
    const auto found = absl::MakeConstSpan(expanded_.ids).subspan(first, at_ - first);
    absl::Span<const int32_t> kept = prompt_.subspan(begin, end - begin);
    if (!kept.empty()) kept.remove_prefix(1);
    if (!kept.empty()) kept.remove_suffix(1);
    const auto at = std::search(found.begin(), found.end(), kept.begin(), kept.end());
    if (kept.empty() || at != found.end()) return absl::OkStatus();
    return Broken(absl::StrCat("the expanded prompt lacks ", kept.size(), " text tokens from ",
                               kept[0], " on, between tokens ", first, " and ", at_,
                               ": mm_token_type_ids or replacements are not where the "
                               "placeholders were"));
  }

  absl::StatusOr<MediaTokensSpan> TakeItem(size_t index) {
    const keel_media_count& item = items_[index];
    const PlaceholderTokens& tokens = *TokensOf(placeholders_, item.modality);
    MediaTokensSpan span;
    span.begin = static_cast<int32_t>(at_);
    const auto whose = [&] {
      return absl::StrCat(ModalityName(item.modality), " ", index, " of the request: ");
    };
    int64_t tokens_found = 0, runs = 0;
    bool within_run = false;
    for (; tokens_found < item.tokens; ++at_) {
      const int32_t type = at_ < expanded_.ids.size() ? expanded_.types[at_] : -1;
      if (type != static_cast<int32_t>(item.modality)) {
        if (type != KEEL_MODALITY_TEXT || runs == 0 || runs >= item.runs)
          return Broken(absl::StrCat(whose(), Runs(tokens_found, runs, item)));
        within_run = false;
        continue;
      }
      ++tokens_found;
      if (!within_run) ++runs;
      within_run = true;
      if (!tokens.ids.contains(expanded_.ids[at_])) {
        return Broken(absl::StrCat(whose(), "token ", at_, " is ", expanded_.ids[at_],
                                   ", which is none of ", ModalityName(item.modality),
                                   "_token_ids"));
      }
      if (expanded_.ids[at_] != tokens.feature) continue;
      const auto token = static_cast<int32_t>(at_);
      if (span.runs.empty() || span.runs.back().begin + span.runs.back().num != token)
        span.runs.push_back({token, 0, static_cast<int32_t>(span.features)});
      ++span.runs.back().num;
      ++span.features;
    }
    if (runs < item.runs) return Broken(absl::StrCat(whose(), Runs(tokens_found, runs, item)));
    span.end = static_cast<int32_t>(at_);
    if (span.features != item.features) {
      return Broken(
          absl::StrCat(whose(), span.features, " tokens for features, count says ", item.features));
    }
    return span;
  }

  // Of an item whose tokens are not as counted.
  static std::string Runs(int64_t tokens, int64_t runs, const keel_media_count& item) {
    if (item.runs <= 1) {
      return absl::StrCat(tokens, " tokens without a break in mm_token_type_ids, count says ",
                          item.tokens);
    }
    return absl::StrCat(tokens, " tokens in ", runs, " runs of mm_token_type_ids, count says ",
                        item.tokens, " in ", item.runs);
  }

  const Placeholders& placeholders_;
  const absl::Span<const int32_t> prompt_;
  const absl::Span<const keel_media_count> items_;
  const ExpandedIds& expanded_;
  const absl::string_view processor_;
  size_t at_ = 0;  // in the expanded prompt
  std::array<size_t, 4> next_ = {};
};

}  // namespace

absl::StatusOr<std::vector<MediaTokensSpan>> FindMediaSpans(
    const Placeholders& placeholders, absl::Span<const int32_t> prompt,
    absl::Span<const keel_media_count> items, const ExpandedIds& expanded,
    absl::string_view processor) {
  KEEL_RETURN_IF_ERROR(CheckPlaceholders(placeholders, prompt, items, processor));
  return SpanReader(placeholders, prompt, items, expanded, processor).Read();
}

absl::StatusOr<std::vector<TokenRange>> FindGroups(absl::Span<const MediaTokensSpan> spans,
                                                   const ExpandedIds& expanded,
                                                   absl::string_view processor) {
  std::vector<TokenRange> groups;
  if (expanded.groups.empty()) {
    for (const MediaTokensSpan& span : spans) {
      bool within = false;
      for (int32_t i = span.begin; i < span.end; ++i) {
        const bool is_items = expanded.types[static_cast<size_t>(i)] != KEEL_MODALITY_TEXT;
        if (is_items && !within) groups.push_back({i, i});
        if (is_items) ++groups.back().end;
        within = is_items;
      }
    }
    std::sort(groups.begin(), groups.end(),
              [](const TokenRange& a, const TokenRange& b) { return a.begin < b.begin; });
    return groups;
  }
  std::set<int32_t> numbers;
  for (size_t i = 0; i < expanded.groups.size(); ++i) {
    const int32_t number = expanded.groups[i];
    if (number < 0) continue;
    if (i == 0 || expanded.groups[i - 1] != number) {
      if (!numbers.insert(number).second) {
        return absl::InternalError(absl::StrCat(
            "processor ", processor, ": token ", i, " is of group ", number,
            ", whose other tokens are farther before, expected tokens that follow each other"));
      }
      groups.push_back({static_cast<int32_t>(i), 0});
    }
    groups.back().end = static_cast<int32_t>(i) + 1;
  }
  return groups;
}

absl::StatusOr<MediaPrompt> ExpandMedia(const Processor& processor, absl::Span<const int32_t> ids,
                                        absl::Span<const keel_media_count> items) {
  const std::string name = absl::StrCat(processor.name(), " of ", processor.plugin_name());
  KEEL_RETURN_IF_ERROR(CheckPlaceholders(processor.placeholders(), ids, items, name));
  MediaPrompt out;
  if (items.empty()) {
    out.ids.assign(ids.begin(), ids.end());
    return out;
  }
  KEEL_ASSIGN_OR_RETURN(ExpandedIds expanded, processor.Expand(ids, items));
  KEEL_ASSIGN_OR_RETURN(out.spans,
                        FindMediaSpans(processor.placeholders(), ids, items, expanded, name));
  KEEL_ASSIGN_OR_RETURN(out.groups, FindGroups(out.spans, expanded, name));
  KEEL_ASSIGN_OR_RETURN(out.places, processor.Positions(expanded.ids, items));
  out.ids = std::move(expanded.ids);
  return out;
}

}  // namespace keel
