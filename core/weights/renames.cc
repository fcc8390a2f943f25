#include "core/weights/renames.h"

#include <ATen/ops/cat.h>
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
#include "core/base/status.h"
#include "core/tensor/aten.h"

namespace keel {
namespace {

using Rename = proto::ModelSpec::Rename;

constexpr int kMaxCaptures = 9;
constexpr size_t kMaxName = 4096;  // a chain of rules may double a name each

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

class Planner {
 public:
  explicit Planner(std::vector<Rule> rules) : rules_(std::move(rules)) {}

  absl::Status Add(const std::string& source) {
    std::string name = source;
    for (const Rule& rule : rules_) {
      const std::optional<Match> match = FindMatch(rule, name);
      if (!match) continue;
      const Rename& rename = *rule.rename;
      if (rename.op() == Rename::IGNORE) return absl::OkStatus();
      if (rename.op() != Rename::RENAME) return AddResults(rename, *match, source);
      KEEL_ASSIGN_OR_RETURN(name, match->Expand(rename.to(0)));
    }
    return AddSource(name, Rename(), 0, 0, source);
  }

  absl::StatusOr<std::map<std::string, TensorRecipe>> Finish() {
    std::map<std::string, TensorRecipe> recipes;
    for (auto& [name, pending] : pending_) {
      TensorRecipe recipe = std::move(pending.recipe);
      int64_t expected = 0;
      for (auto& [order, source] : pending.sources) {
        if (HasManySources(recipe.op) && order != expected++) {
          return absl::NotFoundError(absl::StrCat(name, ": part ", expected - 1,
                                                  " of it is missing in the checkpoint (next is ",
                                                  source, ")"));
        }
        recipe.sources.push_back(std::move(source));
      }
      recipes.emplace(name, std::move(recipe));
    }
    return recipes;
  }

 private:
  struct Pending {
    TensorRecipe recipe;
    std::map<int64_t, std::string> sources;
  };

  absl::Status AddResults(const Rename& rename, const Match& match, const std::string& source) {
    for (int part = 0; part < rename.to_size(); ++part) {
      KEEL_ASSIGN_OR_RETURN(const std::string name, match.Expand(rename.to(part)));
      KEEL_RETURN_IF_ERROR(AddSource(name, rename, part, SourceOrder(rename, match), source));
    }
    return absl::OkStatus();
  }

  absl::Status AddSource(const std::string& name, const Rename& rename, int part, int64_t order,
                         const std::string& source) {
    Pending& pending = pending_[name];
    pending.recipe.op = rename.op();
    pending.recipe.dim = rename.dim();
    pending.recipe.sizes.assign(rename.sizes().begin(), rename.sizes().end());
    pending.recipe.part = part;
    pending.recipe.parts = std::max(1, rename.to_size());
    const auto [at, added] = pending.sources.emplace(order, source);
    if (added) return absl::OkStatus();
    return absl::InvalidArgumentError(
        absl::StrCat("both ", at->second, " and ", source, " of the checkpoint become ", name));
  }

  std::vector<Rule> rules_;
  std::map<std::string, Pending> pending_;
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
    default:
      return x;
  }
}

}  // namespace

absl::StatusOr<std::map<std::string, TensorRecipe>> PlanTensors(
    absl::Span<const std::string> checkpoint_names, absl::Span<const Rename* const> rules) {
  KEEL_ASSIGN_OR_RETURN(std::vector<Rule> compiled, Compile(rules));
  Planner planner(std::move(compiled));
  for (const std::string& name : checkpoint_names) KEEL_RETURN_IF_ERROR(planner.Add(name));
  return planner.Finish();
}

absl::StatusOr<at::Tensor> MakeTensor(
    const TensorRecipe& recipe,
    const std::function<absl::StatusOr<at::Tensor>(const std::string& name)>& read) {
  std::vector<at::Tensor> sources;
  for (const std::string& name : recipe.sources) {
    KEEL_ASSIGN_OR_RETURN(at::Tensor tensor, read(name));
    sources.push_back(std::move(tensor));
  }
  absl::StatusOr<at::Tensor> made = CatchAten([&] { return Apply(recipe, sources).contiguous(); });
  if (!made.ok()) {
    return Annotate(made.status(), absl::StrCat(Rename::Op_Name(recipe.op), " of ",
                                                absl::StrJoin(recipe.sources, ", ")));
  }
  return made;
}

}  // namespace keel
