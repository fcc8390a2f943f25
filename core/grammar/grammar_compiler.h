// Structured output: from what a request asks its text to be to the tokens that may come next, by
// llguidance.
#ifndef KEEL_CORE_GRAMMAR_GRAMMAR_COMPILER_H_
#define KEEL_CORE_GRAMMAR_GRAMMAR_COMPILER_H_

#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "core/grammar/grammar_matcher.h"
#include "core/grammar/grammar_spec.h"
#include "core/text/tokenizer.h"

struct keel_text_vocab;

namespace keel {

// Compiles grammars for one model. Thread-safe. Matchers may outlive it.
class GrammarCompiler {
 public:
  // vocab_size: of the model's logits; ids that only the tokenizer has are never allowed. eos: the
  // tokens that end a generation; those that the model does not have are dropped. What makes
  // grammars impossible, for instance that none is left, is Compile's error.
  static std::shared_ptr<GrammarCompiler> Create(std::shared_ptr<const Tokenizer> tokenizer,
                                                 int64_t vocab_size,
                                                 const std::vector<int32_t>& eos,
                                                 const GrammarLimits& limits = {});

  ~GrammarCompiler();
  GrammarCompiler(const GrammarCompiler&) = delete;
  GrammarCompiler& operator=(const GrammarCompiler&) = delete;

  // A matcher at the beginning of `spec`'s text. Takes the caller's time: the first call builds the
  // vocabulary, later ones a grammar or a copy of a kept one. Threads that ask for the same grammar
  // at once share one compilation.
  // kInvalidArgument: what is wrong with the grammar, or why this model can follow none;
  // kInvalidArgument: it exceeds the limits.
  absl::StatusOr<std::unique_ptr<GrammarMatcher>> Compile(const GrammarSpec& spec);

 private:
  // A compiled grammar that nobody advances.
  struct Entry {
    absl::Mutex mutex;
    bool done ABSL_GUARDED_BY(mutex) = false;
    absl::Status status ABSL_GUARDED_BY(mutex);
    std::unique_ptr<GrammarMatcher> pristine ABSL_GUARDED_BY(mutex);
  };
  using Kept = std::list<std::pair<std::string, std::shared_ptr<Entry>>>;

  GrammarCompiler(std::shared_ptr<const Tokenizer> tokenizer, int64_t vocab_size,
                  std::vector<uint32_t> eos, const GrammarLimits& limits);

  absl::StatusOr<const keel_text_vocab*> Vocabulary();
  std::shared_ptr<Entry> Find(const std::string& key);
  void Forget(const std::string& key, const Entry* entry);
  absl::StatusOr<std::unique_ptr<GrammarMatcher>> CompileNew(const GrammarSpec& spec);

  const std::shared_ptr<const Tokenizer> tokenizer_;
  const int64_t vocab_size_;
  const std::vector<uint32_t> eos_;
  const GrammarLimits limits_;

  absl::Mutex vocabulary_mutex_;
  bool vocabulary_built_ ABSL_GUARDED_BY(vocabulary_mutex_) = false;
  absl::Status vocabulary_status_ ABSL_GUARDED_BY(vocabulary_mutex_);
  keel_text_vocab* vocabulary_ ABSL_GUARDED_BY(vocabulary_mutex_) = nullptr;

  // The most recently used first.
  absl::Mutex mutex_;
  Kept kept_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<absl::string_view, Kept::iterator> by_key_ ABSL_GUARDED_BY(mutex_);
  size_t kept_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace keel

#endif  // KEEL_CORE_GRAMMAR_GRAMMAR_COMPILER_H_
