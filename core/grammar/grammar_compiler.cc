#include "core/grammar/grammar_compiler.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/grammar/grammar_source.h"
#include "core/grammar/keel_text_error.h"
#include "third_party/text/keel_text.h"

namespace keel {
namespace {

// What a chain of as many references as the limits allow needs, several times over. Only used pages
// cost memory.
constexpr size_t kStackBytes = 256 << 20;

// Equal for specs that compile to the same.
std::string KeyOf(const GrammarSpec& spec) {
  const bool json =
      spec.kind == GrammarSpec::Kind::kJsonSchema || spec.kind == GrammarSpec::Kind::kJsonObject;
  std::string key = absl::StrCat(static_cast<int>(spec.kind), ",");
  if (json) {
    absl::StrAppend(&key, spec.disable_any_whitespace, ",", spec.disable_additional_properties);
    if (spec.whitespace_pattern.has_value()) {
      absl::StrAppend(&key, ",", spec.whitespace_pattern->size(), ":", *spec.whitespace_pattern);
    }
  }
  absl::StrAppend(&key, ";", spec.kind == GrammarSpec::Kind::kJsonObject ? "" : spec.source);
  return key;
}

keel_text_grammar_limits ToLimits(const GrammarLimits& limits) {
  return {
      .initial_lexer_fuel = limits.compile_fuel,
      .step_lexer_fuel = limits.mask_fuel,
      .step_max_items = limits.mask_items,
      .max_items_in_row = limits.items_in_row,
      .max_lexer_states = limits.lexer_states,
      .max_grammar_size = limits.grammar_symbols,
      .compile_ms = static_cast<uint64_t>(
          std::max<int64_t>(1, absl::ToInt64Milliseconds(limits.compile_time))),
      .stack_bytes = kStackBytes,
  };
}

}  // namespace

std::shared_ptr<GrammarCompiler> GrammarCompiler::Create(std::shared_ptr<const Tokenizer> tokenizer,
                                                         int64_t vocab_size,
                                                         const std::vector<int32_t>& eos,
                                                         const GrammarLimits& limits) {
  std::vector<uint32_t> known;
  for (const int32_t id : eos) {
    if (id >= 0 && id < vocab_size) known.push_back(static_cast<uint32_t>(id));
  }
  return std::shared_ptr<GrammarCompiler>(
      new GrammarCompiler(std::move(tokenizer), vocab_size, std::move(known), limits));
}

GrammarCompiler::GrammarCompiler(std::shared_ptr<const Tokenizer> tokenizer, int64_t vocab_size,
                                 std::vector<uint32_t> eos, const GrammarLimits& limits)
    : tokenizer_(std::move(tokenizer)),
      vocab_size_(vocab_size),
      eos_(std::move(eos)),
      limits_(limits) {}

GrammarCompiler::~GrammarCompiler() { keel_text_vocab_free(vocabulary_); }

absl::StatusOr<std::unique_ptr<GrammarMatcher>> GrammarCompiler::Compile(const GrammarSpec& spec) {
  if (spec.source.size() > limits_.source_bytes) {
    return MakeGrammarSource(spec, limits_).status();
  }
  const std::string key = KeyOf(spec);
  const std::shared_ptr<Entry> entry = Find(key);
  // Who holds the mutex compiles; the others wait for what comes of it.
  absl::MutexLock lock(&entry->mutex);
  if (!entry->done) {
    entry->done = true;
    auto matcher = CompileNew(spec);
    entry->status = matcher.status();
    if (matcher.ok()) {
      entry->pristine = *std::move(matcher);
    } else {
      Forget(key, entry.get());
    }
  }
  KEEL_RETURN_IF_ERROR(entry->status);
  return entry->pristine->Clone();
}

std::shared_ptr<GrammarCompiler::Entry> GrammarCompiler::Find(const std::string& key) {
  absl::MutexLock lock(&mutex_);
  if (const auto found = by_key_.find(key); found != by_key_.end()) {
    kept_.splice(kept_.begin(), kept_, found->second);
    return found->second->second;
  }
  kept_.emplace_front(key, std::make_shared<Entry>());
  by_key_[kept_.front().first] = kept_.begin();
  kept_bytes_ += key.size();
  const std::shared_ptr<Entry> entry = kept_.front().second;
  while (!kept_.empty() &&
         (kept_.size() > limits_.cached_grammars || kept_bytes_ > limits_.cached_source_bytes)) {
    kept_bytes_ -= kept_.back().first.size();
    by_key_.erase(kept_.back().first);
    kept_.pop_back();
  }
  return entry;
}

void GrammarCompiler::Forget(const std::string& key, const Entry* entry) {
  absl::MutexLock lock(&mutex_);
  const auto found = by_key_.find(key);
  // It may have been dropped and begun anew by another thread.
  if (found == by_key_.end() || found->second->second.get() != entry) return;
  const Kept::iterator at = found->second;
  kept_bytes_ -= key.size();
  by_key_.erase(found);
  kept_.erase(at);
}

absl::StatusOr<std::unique_ptr<GrammarMatcher>> GrammarCompiler::CompileNew(
    const GrammarSpec& spec) {
  KEEL_ASSIGN_OR_RETURN(const GrammarSource source, MakeGrammarSource(spec, limits_));
  KEEL_ASSIGN_OR_RETURN(const keel_text_vocab* vocabulary, Vocabulary());
  const std::string whitespace = spec.whitespace_pattern.value_or("");
  const keel_text_grammar_options options = {
      .no_whitespace = spec.disable_any_whitespace,
      .closed_objects = spec.disable_additional_properties,
      .whitespace_pattern = spec.whitespace_pattern.has_value() ? whitespace.data() : nullptr,
      .n_whitespace_pattern = whitespace.size(),
  };
  keel_text_grammar* grammar = nullptr;
  keel_text_error error;
  KEEL_RETURN_IF_ERROR(
      GrammarError(keel_text_grammar_new(vocabulary, source.kind, source.text.data(),
                                         source.text.size(), &options, &grammar, &error),
                   error));
  auto matcher = std::make_unique<GrammarMatcher>(grammar, vocab_size_);
  // A grammar that allows nothing, or whose first step is beyond the limits, is refused here and
  // not in the middle of a batch; and copies begin with the lexer states that this step made.
  std::vector<uint32_t> mask(matcher->mask_words());
  KEEL_RETURN_IF_ERROR(Annotate(matcher->FillMask(absl::MakeSpan(mask)), "at its beginning"));
  return matcher;
}

absl::StatusOr<const keel_text_vocab*> GrammarCompiler::Vocabulary() {
  absl::MutexLock lock(&vocabulary_mutex_);
  if (eos_.empty()) {
    return absl::InvalidArgumentError(
        "the model names no token of its own that ends a text (eos_token_id), so it cannot say "
        "that an output is complete");
  }
  if (!vocabulary_built_) {
    vocabulary_built_ = true;
    const keel_text_grammar_limits limits = ToLimits(limits_);
    keel_text_error error;
    vocabulary_status_ =
        GrammarError(keel_text_vocab_new(tokenizer_->handle(), vocab_size_, eos_.data(),
                                         eos_.size(), &limits, &vocabulary_, &error),
                     error);
  }
  KEEL_RETURN_IF_ERROR(vocabulary_status_);
  return vocabulary_;
}

}  // namespace keel
