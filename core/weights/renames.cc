#include "core/weights/renames.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/stack.h>
#include <re2/re2.h>

#include <algorithm>
#include <memory>
#include <numeric>
#include <optional>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "core/base/status.h"
#include "core/tensor/aten.h"

namespace keel {
namespace {

using Rename = proto::ModelSpec::Rename;

constexpr int kMaxCaptures = 9;
constexpr size_t kMaxName = 1024;  // a chain of rules may double a name each
constexpr char kIndex[] = "{e}";
constexpr int64_t kMaxSlices = 1 << 16;
constexpr size_t kMaxTensors = 1 << 22;  // slices of slices, of a file with empty tensors

struct Rule {
  const Rename* rename;
  std::vector<std::unique_ptr<RE2>> from;
};

struct Match {
  int from = 0;                       // which pattern
  std::vector<std::string> captures;  // [0] is the whole name

  absl::StatusOr<std::string> Expand(const std::string& to) const {
    std::string out;
    for (size_t i = 0; i < to.size(); ++i) {
      if (to[i] != '\\') {
        out += to[i];
        continue;
      }
      const int group = i + 1 < to.size() ? to[++i] - '0' : -1;
      if (group < 0 || group >= static_cast<int>(captures.size())) {
        return absl::InvalidArgumentError(
            absl::StrCat("rename to \"", to, "\" asks for a group that the pattern has not"));
      }
      out += captures[group];
      if (out.size() > kMaxName) {
        return absl::InvalidArgumentError(absl::StrCat(
            "rename to \"", to, "\" makes a name of more than ", kMaxName, " characters"));
      }
    }
    return out;
  }
};

std::optional<Match> FindMatch(const Rule& rule, const std::string& name) {
  for (size_t i = 0; i < rule.from.size(); ++i) {
    const RE2& pattern = *rule.from[i];
    const int groups = std::min(pattern.NumberOfCapturingGroups(), kMaxCaptures);
    std::vector<re2::StringPiece> pieces(groups + 1);
    if (!pattern.Match(name, 0, name.size(), RE2::ANCHOR_BOTH, pieces.data(), groups + 1)) continue;
    Match match;
    match.from = static_cast<int>(i);
    for (const re2::StringPiece& piece : pieces) {
      match.captures.emplace_back(piece.data() == nullptr ? "" : std::string(piece));
    }
    return match;
  }
  return std::nullopt;
}

bool HasManySources(Rename::Op op) { return op == Rename::CONCATENATE || op == Rename::STACK; }
bool HasManyResults(Rename::Op op) {
  return op == Rename::SPLIT || op == Rename::INTERLEAVE || op == Rename::CHUNK_HEADS;
}

absl::Status CheckCounts(const Rename& r) {
  const auto bad = [&](const char* expected) {
    return absl::InvalidArgumentError(
        absl::StrCat(Rename::Op_Name(r.op()), " of \"", absl::StrJoin(r.from(), "\", \""),
                     "\" has ", r.from_size(), " from, ", r.to_size(), " to and ", r.sizes_size(),
                     " sizes, expected ", expected));
  };
  if (r.from_size() < 1) return bad("at least one from");
  if (r.op() == Rename::IGNORE) return r.to_size() == 0 ? absl::OkStatus() : bad("no to");
  if (HasManyResults(r.op())) {
    if (r.from_size() != 1 || r.to_size() < 1) return bad("one from");
    if (r.sizes_size() != 0 && r.sizes_size() != r.to_size()) return bad("a size for each to");
    if (r.op() == Rename::CHUNK_HEADS && r.sizes_size() == 0) return bad("a size for each to");
    for (int64_t size : r.sizes()) {
      if (size < 1) return bad("sizes of at least 1");
    }
    return absl::OkStatus();
  }
  if (r.to_size() != 1) return bad("one to");
  if (r.op() == Rename::UNSTACK && r.to(0).find(kIndex) == std::string::npos)
    return bad("{e} in its to");
  if (r.op() == Rename::UNSTACK && (r.sizes_size() > 1 || (r.sizes_size() == 1 && r.sizes(0) < 1)))
    return bad("one size of at least 1, the rows of a slice, or none");
  if (r.op() == Rename::PERMUTE_ROPE && (r.sizes_size() != 1 || r.sizes(0) < 2)) {
    return bad("one size, the head's");
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<Rule>> Compile(absl::Span<const Rename* const> renames) {
  std::vector<Rule> rules;
  for (const Rename* rename : renames) {
    KEEL_RETURN_IF_ERROR(CheckCounts(*rename));
    Rule rule{rename, {}};
    for (const std::string& pattern : rename->from()) {
      RE2::Options options;
      options.set_log_errors(false);
      options.set_max_mem(1 << 20);
      rule.from.push_back(std::make_unique<RE2>(pattern, options));
      if (!rule.from.back()->ok()) {
        return absl::InvalidArgumentError(
            absl::StrCat("rename of \"", pattern, "\": ", rule.from.back()->error()));
      }
    }
    rules.push_back(std::move(rule));
  }
  return rules;
}

// The place of a source among the others of its recipe: by pattern, or by the number in its name.
int64_t SourceOrder(const Rename& rename, const Match& match) {
  if (rename.op() == Rename::CONCATENATE) return match.from;
  if (rename.op() != Rename::STACK) return 0;
  // The number is the last group that the result's name does not use.
  for (int group = static_cast<int>(match.captures.size()) - 1; group > 0; --group) {
    int64_t number = 0;
    if (rename.to(0).find(absl::StrCat("\\", group)) == std::string::npos &&
        absl::SimpleAtoi(match.captures[group], &number)) {
      return number;
    }
  }
  return -1;
}

// The tensors that there are, rewritten rule by rule.
class Planner {
 public:
  explicit Planner(const ShapeOf& shape_of) : shape_of_(shape_of) {}

  absl::Status AddSource(const std::string& name) {
    auto recipe = std::make_shared<TensorRecipe>();
    recipe->sources = {name};
    return Insert(name, std::move(recipe));
  }

  absl::Status Apply(const Rule& rule) {
    struct Found {
      Match match;
      RecipePtr tensor;
    };
    std::vector<Found> found;
    for (auto it = tensors_.begin(); it != tensors_.end();) {
      std::optional<Match> match = FindMatch(rule, it->first);
      if (!match) {
        ++it;
        continue;
      }
      found.push_back({*std::move(match), std::move(it->second)});
      it = tensors_.erase(it);
    }
    std::map<std::string, std::map<int64_t, RecipePtr>> merged;  // by result, in order
    for (const Found& f : found)
      KEEL_RETURN_IF_ERROR(ApplyTo(*rule.rename, f.match, f.tensor, merged));
    for (auto& [name, parts] : merged) KEEL_RETURN_IF_ERROR(Merge(*rule.rename, name, parts));
    return absl::OkStatus();
  }

  std::map<std::string, TensorRecipe> Finish() && {
    std::map<std::string, TensorRecipe> out;
    for (auto& [name, recipe] : tensors_) out.emplace(name, *recipe);
    return out;
  }

 private:
  using RecipePtr = std::shared_ptr<const TensorRecipe>;

  absl::Status ApplyTo(const Rename& rename, const Match& match, const RecipePtr& tensor,
                       std::map<std::string, std::map<int64_t, RecipePtr>>& merged) {
    if (rename.op() == Rename::IGNORE) return absl::OkStatus();
    if (rename.op() == Rename::UNSTACK) return Unstack(rename, match, tensor);
    for (int part = 0; part < rename.to_size(); ++part) {
      KEEL_ASSIGN_OR_RETURN(const std::string name, match.Expand(rename.to(part)));
      if (HasManySources(rename.op())) {
        const auto [at, added] = merged[name].emplace(SourceOrder(rename, match), tensor);
        if (!added) return Twice(name, *at->second, *tensor);
      } else if (rename.op() == Rename::RENAME) {
        KEEL_RETURN_IF_ERROR(Insert(name, tensor));
      } else {
        KEEL_RETURN_IF_ERROR(Insert(name, Derive(rename, {tensor}, part, rename.to_size())));
      }
    }
    return absl::OkStatus();
  }

  absl::Status Unstack(const Rename& rename, const Match& match, const RecipePtr& tensor) {
    KEEL_ASSIGN_OR_RETURN(const std::string to, match.Expand(rename.to(0)));
    KEEL_ASSIGN_OR_RETURN(const int64_t slices, CountSlices(rename, *tensor));
    for (int64_t e = 0; e < slices; ++e) {
      KEEL_RETURN_IF_ERROR(
          Insert(absl::StrReplaceAll(to, {{kIndex, absl::StrCat(e)}}),
                 Derive(rename, {tensor}, static_cast<int>(e), static_cast<int>(slices))));
    }
    return absl::OkStatus();
  }

  // Shapes follow from tensors without memory.
  absl::StatusOr<int64_t> CountSlices(const Rename& rename, const TensorRecipe& tensor) const {
    KEEL_ASSIGN_OR_RETURN(
        const at::Tensor x,
        MakeTensor(tensor, [&](const std::string& name) -> absl::StatusOr<at::Tensor> {
          KEEL_ASSIGN_OR_RETURN(const std::vector<int64_t> shape, shape_of_(name));
          return CatchAten([&] { return at::empty(shape, at::TensorOptions().device(at::kMeta)); });
        }));
    const int64_t rows = rename.sizes().empty() ? 1 : rename.sizes(0);
    const int64_t dim = rename.dim() < 0 ? rename.dim() + x.dim() : rename.dim();
    if (dim >= 0 && dim < x.dim() && x.size(dim) % rows == 0 && x.size(dim) / rows <= kMaxSlices)
      return x.size(dim) / rows;
    return absl::InvalidArgumentError(
        absl::StrCat("UNSTACK of ", absl::StrJoin(tensor.sources, ", "), ": it is [",
                     absl::StrJoin(x.sizes(), ", "), "], expected at most ", kMaxSlices,
                     " slices of ", rows, " along dimension ", rename.dim()));
  }

  absl::Status Merge(const Rename& rename, const std::string& name,
                     const std::map<int64_t, RecipePtr>& parts) {
    std::vector<RecipePtr> inputs;
    for (const auto& [order, tensor] : parts) {
      if (order != static_cast<int64_t>(inputs.size())) {
        return absl::NotFoundError(absl::StrCat(name, ": part ", inputs.size(),
                                                " of it is missing in the checkpoint (next is ",
                                                absl::StrJoin(tensor->sources, ", "), ")"));
      }
      inputs.push_back(tensor);
    }
    return Insert(name, Derive(rename, std::move(inputs), 0, 1));
  }

  static RecipePtr Derive(const Rename& rename, std::vector<RecipePtr> inputs, int part,
                          int parts) {
    auto recipe = std::make_shared<TensorRecipe>();
    recipe->op = rename.op();
    recipe->dim = rename.dim();
    recipe->sizes.assign(rename.sizes().begin(), rename.sizes().end());
    recipe->part = part;
    recipe->parts = parts;
    for (const RecipePtr& input : inputs)
      recipe->sources.insert(recipe->sources.end(), input->sources.begin(), input->sources.end());
    recipe->inputs = std::move(inputs);
    return recipe;
  }

  static absl::Status Twice(const std::string& name, const TensorRecipe& a, const TensorRecipe& b) {
    return absl::InvalidArgumentError(absl::StrCat("both ", absl::StrJoin(a.sources, ", "), " and ",
                                                   absl::StrJoin(b.sources, ", "),
                                                   " of the checkpoint become ", name));
  }

  absl::Status Insert(const std::string& name, RecipePtr recipe) {
    if (tensors_.size() >= kMaxTensors) {
      return absl::ResourceExhaustedError(
          absl::StrCat("the renames make more than ", kMaxTensors, " tensors"));
    }
    const auto [at, added] = tensors_.try_emplace(name, recipe);
    return added ? absl::OkStatus() : Twice(name, *at->second, *recipe);
  }

  const ShapeOf& shape_of_;
  std::map<std::string, RecipePtr> tensors_;
};

at::Tensor Split(const TensorRecipe& r, const at::Tensor& x) {
  const int64_t dim = c10::maybe_wrap_dim(r.dim, x.dim()), total = x.size(dim);
  if (r.sizes.empty()) {
    TORCH_CHECK(total % r.parts == 0, "size ", total, " does not split into ", r.parts, " parts");
    return x.narrow(dim, total / r.parts * r.part, total / r.parts);
  }
  TORCH_CHECK(std::accumulate(r.sizes.begin(), r.sizes.end(), int64_t{0}) == total,
              "the parts' sizes don't sum to ", total);
  const int64_t start = std::accumulate(r.sizes.begin(), r.sizes.begin() + r.part, int64_t{0});
  return x.narrow(dim, start, r.sizes[r.part]);
}

// Rows dealt out in turn: part p gets p, p + parts, ...
at::Tensor Interleave(const TensorRecipe& r, const at::Tensor& x) {
  const int64_t dim = c10::maybe_wrap_dim(r.dim, x.dim());
  TORCH_CHECK(x.size(dim) % r.parts == 0, "size ", x.size(dim), " does not deal out to ", r.parts);
  return x.slice(dim, r.part, x.size(dim), r.parts);
}

// Rows of head h, (h, pair, 2), become (h, 2, pair).
at::Tensor PermuteRope(const TensorRecipe& r, const at::Tensor& x) {
  const int64_t head = r.sizes[0], rows = x.size(0);
  TORCH_CHECK(head % 2 == 0 && rows % head == 0, rows, " rows are no heads of ", head);
  std::vector<int64_t> split = {rows / head, head / 2, 2},
                       whole(x.sizes().begin(), x.sizes().end());
  split.insert(split.end(), whole.begin() + 1, whole.end());
  return x.reshape(split).transpose(1, 2).reshape(whole);
}

at::Tensor ChunkHeads(const TensorRecipe& r, const at::Tensor& x) {
  const int64_t group = std::accumulate(r.sizes.begin(), r.sizes.end(), int64_t{0});
  const int64_t rows = x.size(0);
  TORCH_CHECK(rows % group == 0, rows, " rows are no head groups of ", group);
  std::vector<int64_t> split = {rows / group, group}, whole(x.sizes().begin(), x.sizes().end());
  split.insert(split.end(), whole.begin() + 1, whole.end());
  whole[0] = rows / group * r.sizes[r.part];
  const int64_t start = std::accumulate(r.sizes.begin(), r.sizes.begin() + r.part, int64_t{0});
  return x.reshape(split).narrow(1, start, r.sizes[r.part]).reshape(whole);
}

at::Tensor Unstacked(const TensorRecipe& r, const at::Tensor& x) {
  if (r.sizes.empty()) return x.select(r.dim, r.part);
  return x.narrow(r.dim, r.part * r.sizes[0], r.sizes[0]);
}

at::Tensor Apply(const TensorRecipe& r, const std::vector<at::Tensor>& sources) {
  const at::Tensor& x = sources.front();
  switch (r.op) {
    case Rename::CONCATENATE:
      return at::cat(sources, r.dim);
    case Rename::STACK:
      return at::stack(sources, r.dim);
    case Rename::SPLIT:
      return Split(r, x);
    case Rename::TRANSPOSE:
      return x.transpose(-1, -2);
    case Rename::INTERLEAVE:
      return Interleave(r, x);
    case Rename::PERMUTE_ROPE:
      return PermuteRope(r, x);
    case Rename::CHUNK_HEADS:
      return ChunkHeads(r, x);
    case Rename::UNSTACK:
      return Unstacked(r, x);
    default:
      return x;
  }
}

// The tensor, a view wherever its ops have one.
absl::StatusOr<at::Tensor> MakeView(
    const TensorRecipe& recipe,
    const std::function<absl::StatusOr<at::Tensor>(const std::string& name)>& read) {
  if (recipe.inputs.empty()) return read(recipe.sources.front());
  std::vector<at::Tensor> inputs;
  for (const auto& input : recipe.inputs) {
    KEEL_ASSIGN_OR_RETURN(at::Tensor tensor, MakeView(*input, read));
    inputs.push_back(std::move(tensor));
  }
  absl::StatusOr<at::Tensor> made = CatchAten([&] { return Apply(recipe, inputs); });
  if (!made.ok()) {
    return Annotate(made.status(), absl::StrCat(Rename::Op_Name(recipe.op), " of ",
                                                absl::StrJoin(recipe.sources, ", ")));
  }
  return made;
}

}  // namespace

absl::StatusOr<std::map<std::string, TensorRecipe>> PlanTensors(
    absl::Span<const std::string> checkpoint_names, absl::Span<const Rename* const> rules,
    const ShapeOf& shape_of) {
  KEEL_ASSIGN_OR_RETURN(const std::vector<Rule> compiled, Compile(rules));
  Planner planner(shape_of);
  for (const std::string& name : checkpoint_names) KEEL_RETURN_IF_ERROR(planner.AddSource(name));
  for (const Rule& rule : compiled) KEEL_RETURN_IF_ERROR(planner.Apply(rule));
  return std::move(planner).Finish();
}

absl::StatusOr<at::Tensor> MakeTensor(
    const TensorRecipe& recipe,
    const std::function<absl::StatusOr<at::Tensor>(const std::string& name)>& read) {
  KEEL_ASSIGN_OR_RETURN(at::Tensor tensor, MakeView(recipe, read));
  return CatchAten([&] { return tensor.contiguous(); });
}

}  // namespace keel
