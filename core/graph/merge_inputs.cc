#include "core/graph/merge_inputs.h"

#include <cstdint>
#include <cstring>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "core/base/status.h"
#include "core/graph/encoder_inputs.h"
#include "sdk/abi/plugin.h"

namespace keel {
namespace {

using Rule = proto::ModelSpec::Input;

// Null: the spec has no such input.
const Rule* RuleOf(const proto::ModelSpec& spec, const proto::Function& encode,
                   const std::string& input) {
  const absl::string_view modality = absl::StripPrefix(encode.name(), "encode/");
  for (const Rule& rule : spec.inputs())
    if (rule.graph() == modality && rule.name() == input) return &rule;
  return nullptr;
}

// The only dimension of an input that is a symbol; -1: it has none, or more than one.
int MergedDim(const proto::Function::Input& input) {
  int found = -1;
  for (int i = 0; i < input.type().dims_size(); ++i) {
    if (input.type().dims(i).symbol().empty()) continue;
    if (found >= 0) return -1;
    found = i;
  }
  return found;
}

std::string SymbolOf(const Rule& rule) { return absl::StrCat("S", -rule.index_symbol()); }

// Whether `input` is what the rule is about: a graph file may have written its functions otherwise.
bool Fits(const Rule& rule, const proto::Function& encode, const proto::Function::Input& input) {
  if (static_cast<uint32_t>(input.type().dtype()) != rule.dtype() ||
      input.type().dims_size() != rule.dims_size() || MergedDim(input) < 0) {
    return false;
  }
  if (rule.merge() != KEEL_MERGE_INDICES) return true;
  return absl::c_any_of(encode.inputs(), [&](const proto::Function::Input& other) {
    return absl::c_any_of(other.type().dims(),
                          [&](const proto::Dim& dim) { return dim.symbol() == SymbolOf(rule); });
  });
}

// Tensors of one input, one after the other along `dim`.
HostTensor Concatenate(absl::Span<const HostTensor* const> parts, int dim) {
  HostTensor out{parts[0]->dtype, parts[0]->dims, {}};
  size_t bytes = 0;
  out.dims[static_cast<size_t>(dim)] = 0;
  for (const HostTensor* part : parts) {
    out.dims[static_cast<size_t>(dim)] += part->dims[static_cast<size_t>(dim)];
    bytes += part->bytes.size();
  }
  out.bytes.reserve(bytes);
  int64_t outer = 1;
  for (int i = 0; i < dim; ++i) outer *= out.dims[static_cast<size_t>(i)];
  for (int64_t i = 0; i < outer; ++i) {
    for (const HostTensor* part : parts) {
      const auto run = static_cast<int64_t>(part->bytes.size()) / outer;
      const auto begin = part->bytes.begin() + i * run;
      out.bytes.insert(out.bytes.end(), begin, begin + run);
    }
  }
  return out;
}

std::vector<int64_t> IntsOf(const HostTensor& tensor) {
  const size_t size = tensor.dtype == DType::kI32 ? sizeof(int32_t) : sizeof(int64_t);
  std::vector<int64_t> out(tensor.bytes.size() / size);
  for (size_t i = 0; i < out.size(); ++i) {
    if (tensor.dtype == DType::kI32) {
      int32_t value = 0;
      std::memcpy(&value, tensor.bytes.data() + i * size, size);
      out[i] = value;
    } else {
      std::memcpy(&out[i], tensor.bytes.data() + i * size, size);
    }
  }
  return out;
}

absl::Status PutInts(const std::vector<int64_t>& ints, HostTensor& tensor) {
  const size_t size = tensor.dtype == DType::kI32 ? sizeof(int32_t) : sizeof(int64_t);
  tensor.bytes.resize(ints.size() * size);
  for (size_t i = 0; i < ints.size(); ++i) {
    if (tensor.dtype != DType::kI32) {
      std::memcpy(tensor.bytes.data() + i * size, &ints[i], size);
      continue;
    }
    if (ints[i] > std::numeric_limits<int32_t>::max())
      return absl::InvalidArgumentError(absl::StrCat("has ", ints[i], ", more than int32 holds"));
    const auto value = static_cast<int32_t>(ints[i]);
    std::memcpy(tensor.bytes.data() + i * size, &value, size);
  }
  return absl::OkStatus();
}

// Running sums as one item's.
absl::StatusOr<HostTensor> MergeBorders(absl::Span<const HostTensor* const> parts) {
  std::vector<int64_t> all = {0};
  for (const HostTensor* part : parts) {
    const std::vector<int64_t> borders = IntsOf(*part);
    const int64_t before = all.back();
    for (size_t i = 0; i < borders.size(); ++i) {
      if (borders[i] < (i == 0 ? 0 : borders[i - 1]) || (i == 0 && borders[i] != 0))
        return absl::InvalidArgumentError(
            absl::StrCat("has the border ", borders[i], ", expected running sums from 0 on"));
      if (i > 0) all.push_back(before + borders[i]);
    }
    if (borders.empty())
      return absl::InvalidArgumentError("has no borders, expected running sums from 0 on");
  }
  HostTensor out{parts[0]->dtype, {static_cast<int64_t>(all.size())}, {}};
  KEEL_RETURN_IF_ERROR(PutInts(all, out));
  return out;
}

// `counts`: of each item, how many rows its indices are into.
absl::StatusOr<HostTensor> MergeIndices(absl::Span<const HostTensor* const> parts, int dim,
                                        absl::Span<const int64_t> counts) {
  std::vector<HostTensor> moved;
  std::vector<const HostTensor*> pointers;
  moved.reserve(parts.size());
  int64_t before = 0;
  for (size_t i = 0; i < parts.size(); ++i) {
    std::vector<int64_t> indices = IntsOf(*parts[i]);
    for (int64_t& index : indices) {
      // What would be out of range in a call of its own must not come upon another item's rows.
      if (index >= counts[i])
        return absl::InvalidArgumentError(absl::StrCat(
            "has the index ", index, ", expected less than ", counts[i], ", its item's rows"));
      if (index >= 0) index += before;
    }
    HostTensor& part = moved.emplace_back(HostTensor{parts[i]->dtype, parts[i]->dims, {}});
    KEEL_RETURN_IF_ERROR(PutInts(indices, part));
    pointers.push_back(&part);
    before += counts[i];
  }
  return Concatenate(pointers, dim);
}

absl::StatusOr<HostTensor> Merge(const Rule& rule, int dim,
                                 absl::Span<const HostTensor* const> parts,
                                 absl::Span<const SymbolSizes> sizes) {
  for (const HostTensor* part : parts) {
    if (part->dtype == parts[0]->dtype) continue;
    return absl::InvalidArgumentError(absl::StrCat("is ", TorchName(parts[0]->dtype),
                                                   " in one item and ", TorchName(part->dtype),
                                                   " in another, expected one type"));
  }
  if (rule.merge() == KEEL_MERGE_ROWS) return Concatenate(parts, dim);
  if (rule.merge() == KEEL_MERGE_BORDERS) return MergeBorders(parts);
  std::vector<int64_t> counts;
  for (const SymbolSizes& of_item : sizes)
    counts.push_back(of_item.at(SymbolOf(rule)) * rule.index_multiple());
  return MergeIndices(parts, dim, counts);
}

}  // namespace

bool CanMergeInputs(const proto::ModelSpec& spec, const proto::Function& encode) {
  for (const proto::Function::Input& input : encode.inputs()) {
    const Rule* rule = RuleOf(spec, encode, input.name());
    if (rule == nullptr || rule->merge() == KEEL_MERGE_NONE || !Fits(*rule, encode, input))
      return false;
  }
  return encode.inputs_size() > 0;
}

absl::StatusOr<NamedTensors> MergeInputs(const proto::ModelSpec& spec,
                                         const proto::Function& encode,
                                         absl::Span<const NamedTensors* const> items) {
  std::vector<SymbolSizes> sizes;
  for (const NamedTensors* item : items) {
    KEEL_ASSIGN_OR_RETURN(sizes.emplace_back(), CheckInputs(encode, *item));
  }
  NamedTensors merged;
  for (const proto::Function::Input& input : encode.inputs()) {
    std::vector<const HostTensor*> parts;
    for (const NamedTensors* item : items) parts.push_back(&item->at(input.name()));
    absl::StatusOr<HostTensor> out =
        Merge(*RuleOf(spec, encode, input.name()), MergedDim(input), parts, sizes);
    if (!out.ok())
      return Annotate(out.status(), absl::StrCat(encode.name(), ": input '", input.name(), "'"));
    merged.emplace(input.name(), *std::move(out));
  }
  return merged;
}

}  // namespace keel
