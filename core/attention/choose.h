// Which implementation an attention gets: decided here and nowhere else.
#ifndef KEEL_CORE_ATTENTION_CHOOSE_H_
#define KEEL_CORE_ATTENTION_CHOOSE_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/attention/attention.h"
#include "core/attention/registry.h"
#include "core/kernels/numerics.h"

namespace keel {

// What --attention-implementation names: "paged" for all of a model, or "text=paged,image=sdpa".
struct AttentionOfPart {
  std::string part;  // as in AttentionUse; "": all
  std::string name;
};
// kInvalidArgument says what is wrong with the flag's text. None for "".
absl::StatusOr<std::vector<AttentionOfPart>> ParseAttentionFlag(absl::string_view text);

// What is said of a model's attentions beside their declarations; "" where nothing is.
struct AttentionWish {
  std::string flag = {};    // --attention-implementation
  std::string spec = {};    // attn_implementation of the model's spec
  std::string config = {};  // _attn_implementation of config.json
  Numerics numerics = Numerics::kFastest;
};

struct AttentionChoice {
  std::string name;     // "paged"
  std::string reason;   // "--attention-implementation"
  std::string warning;  // of a name that nobody provides; "": none
  std::shared_ptr<const AttentionImplementation> implementation;
};

// The first of these that says something:
//   use.desc->impl  what the model declares for this attention: binds
//   wish.flag       binds, for the part that it names
//   wish.spec, wish.config
//                   of the text alone; binds if a plugin has registered the name. eager, sdpa, flash_attention_2 ... are
//                   transformers' and leave the choice to the host; so does, with a warning, a name
//                   that nobody provides; one with a dot, as plugins have them, is refused then
//   the host        paged, sdpa, eager: the first that supports it
// Invariant numerics take paged, or a named one that is invariant: whatever else binds is
// refused. An implementation that is named and lacks something is refused too, never replaced.
// Errors: kNotFound with the names there are; kUnimplemented with what is lacking.
absl::StatusOr<AttentionChoice> ChooseAttention(const AttentionUse& use, const AttentionWish& wish,
                                                const AttentionRegistry& registry);

}  // namespace keel

#endif  // KEEL_CORE_ATTENTION_CHOOSE_H_
