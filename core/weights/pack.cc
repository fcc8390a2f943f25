#include "core/weights/pack.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/sha256.h"
#include "core/base/status.h"
#include "core/kernels/kernel_type.h"
#include "core/kernels/parallel.h"
#include "core/tensor/aten.h"
#include "core/weights/pack_format.h"
#include "core/weights/packed_weight.h"

namespace keel {
namespace {

// Raise it when the same key would give other bytes: a layout in core/kernels, a rule of pack_format.h, the order of a plan,
// how renames are applied.
constexpr int kLayoutVersion = 1;
constexpr int64_t kAlignment = 64;
// Between two reports of progress; the checkpoint's pages are let go as often.
constexpr int64_t kBatchBytes = int64_t{128} << 20;

int64_t Aligned(int64_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

// Calls f(object - 1, linear) for each linear and each of an expert's.
template <typename Objects, typename F>
void ForEachLinear(Objects& objects, F f) {
  for (size_t i = 0; i < objects.size(); ++i) {
    if (auto* linear = std::get_if<LinearPtr>(&objects[i])) {
      f(i, *linear);
    } else if (auto* moe = std::get_if<ExpertWeights>(&objects[i])) {
      for (auto& mlp : moe->experts) {
        for (auto* expert : {&mlp.gate, &mlp.up, &mlp.down})
          if (*expert != nullptr) f(i, *expert);
      }
    }
  }
}

// Where a linear lies in the packed bytes.
struct Place {
  const PlainLinear* plain = nullptr;
  PackedFormat format = {};
  int64_t offset = 0;
  int64_t bias_offset = -1;  // -1: no bias

  int64_t n() const { return plain->weight.size(0); }
  int64_t k() const { return plain->weight.size(1); }
  int64_t bytes() const { return Panels(n()) * PanelBytes(format, k()); }
};

struct Plan {
  std::vector<Place> places;
  std::vector<std::optional<size_t>> place_of;  // in ForEachLinear's order; nullopt: stays as it is
  int64_t bytes = 0;

  int64_t Take(int64_t size) { return std::exchange(bytes, bytes + Aligned(size)); }
};

// Whether both are packed to the same bytes because they are the same tensors: a head that two names have.
bool IsSame(const Place& a, const Place& b) {
  const auto is_same = [](const at::Tensor& x, const at::Tensor& y) {
    return x.defined() == y.defined() &&
           (!x.defined() ||
            (x.const_data_ptr() == y.const_data_ptr() && x.scalar_type() == y.scalar_type() &&
             x.sizes() == y.sizes() && x.strides() == y.strides()));
  };
  return a.format == b.format && is_same(a.plain->weight, b.plain->weight) &&
         is_same(a.plain->bias, b.plain->bias);
}

Plan PlanOf(const proto::Graph& graph, const Weights& weights, const PackOptions& options) {
  const std::vector<PackedFormat> formats =
      LinearFormats(graph, options.quantization, options.dtype);
  Plan plan;
  std::multimap<const void*, size_t> by_memory;
  ForEachLinear(weights.objects, [&](size_t object, const LinearPtr& linear) {
    std::optional<size_t>& index = plan.place_of.emplace_back();
    const PlainLinear* plain = linear->plain();
    if (plain == nullptr || !plain->weight.is_cpu()) return;
    Place place{plain, formats[object]};
    const void* memory = plain->weight.const_data_ptr();
    for (auto [it, end] = by_memory.equal_range(memory); it != end; ++it) {
      if (!IsSame(plan.places[it->second], place)) continue;
      index = it->second;
      return;
    }
    place.offset = plan.Take(place.bytes());
    if (plain->bias.defined()) place.bias_offset = plan.Take(place.n() * sizeof(float));
    index = plan.places.size();
    by_memory.emplace(memory, *index);
    plan.places.push_back(place);
  });
  return plan;
}

// Of all that decides the packed bytes.
absl::StatusOr<std::string> KeyOf(const proto::Graph& graph, const Weights& weights,
                                  const Plan& plan, const PackOptions& options) {
  KEEL_ASSIGN_OR_RETURN(const std::string identity, weights.checkpoint->Identity());
  std::string text = absl::StrCat("layout ", kLayoutVersion, "\n", options.part, "\n",
                                  options.splits, "\n", TorchName(options.dtype), "\n", identity);
  absl::StrAppend(&text, graph.spec().base_model_prefix(), "\n");
  for (const auto& rename : graph.spec().renames())
    absl::StrAppend(&text, rename.SerializeAsString());
  for (const proto::Declaration& d : graph.declarations())
    absl::StrAppend(&text, d.SerializeAsString());
  for (const Place& place : plan.places) {
    absl::StrAppend(&text, place.offset, " ", place.n(), " ", place.k(), " ",
                    static_cast<int>(place.format.weights), " ", place.format.group, " ",
                    static_cast<int>(place.plain->weight.scalar_type()), "\n");
  }
  return Sha256Hex({reinterpret_cast<const uint8_t*>(text.data()), text.size()});
}

PlainWeights MatrixOf(const at::Tensor& weight) {
  PlainWeights matrix;
  matrix.type = *KernelTypeOf(weight.scalar_type());
  matrix.w = weight.const_data_ptr();
  matrix.n = weight.size(0);
  matrix.k = weight.size(1);
  matrix.ldw = weight.stride(0);
  return matrix;
}

// Packs places [begin, end). Threads share the panels of all of them.
void PackPlaces(const Plan& plan, size_t begin, size_t end, uint8_t* out) {
  std::vector<at::Tensor> in_rows;  // keeps copies of what is stored otherwise, transposed
  std::vector<PlainWeights> matrices;
  std::vector<int64_t> first_panel = {0};
  for (size_t i = begin; i < end; ++i) {
    const Place& place = plan.places[i];
    const at::Tensor& weight = place.plain->weight;
    in_rows.push_back(weight.stride(1) == 1 || weight.size(1) == 1 ? weight : weight.contiguous());
    matrices.push_back(MatrixOf(in_rows.back()));
    first_panel.push_back(first_panel.back() + Panels(place.n()));
    if (place.bias_offset < 0) continue;
    const at::Tensor bias = place.plain->bias.to(at::kFloat).contiguous();
    std::memcpy(out + place.bias_offset, bias.const_data_ptr(), bias.nbytes());
  }
  ParallelFor(first_panel.back(), 1, [&](int64_t from, int64_t to) {
    size_t i =
        std::upper_bound(first_panel.begin(), first_panel.end(), from) - first_panel.begin() - 1;
    for (; from < to; ++i) {
      const int64_t until = std::min(to, first_panel[i + 1]);
      const Place& place = plan.places[begin + i];
      PackPanels(place.format, matrices[i], from - first_panel[i], until - first_panel[i],
                 out + place.offset);
      from = until;
    }
  });
}

absl::StatusOr<std::shared_ptr<uint8_t>> Pack(const Plan& plan, const Weights& weights,
                                              const PackOptions& options) {
  KEEL_ASSIGN_OR_RETURN(std::shared_ptr<uint8_t> out, AllocatePages(plan.bytes));
  for (size_t begin = 0; begin < plan.places.size();) {
    size_t end = begin + 1;
    const auto end_of = [&](size_t i) {
      return i < plan.places.size() ? plan.places[i].offset : plan.bytes;
    };
    while (end < plan.places.size() && end_of(end) - plan.places[begin].offset < kBatchBytes) ++end;
    KEEL_RETURN_IF_ERROR(CatchAten([&] {
      PackPlaces(plan, begin, end, out.get());
      return absl::OkStatus();
    }));
    weights.checkpoint->DropPages();
    if (options.on_bytes) options.on_bytes(end_of(end), plan.bytes);
    begin = end;
  }
  return out;
}

// The weights over `bytes`, packed by `plan`.
std::shared_ptr<const Weights> WithPacked(const Weights& weights, const Plan& plan, DType dtype,
                                          const std::shared_ptr<const uint8_t>& bytes) {
  std::vector<LinearPtr> made;
  for (const Place& place : plan.places) {
    PackedLinear linear;
    linear.format = place.format;
    linear.n = place.n();
    linear.k = place.k();
    linear.weights = bytes.get() + place.offset;
    if (place.bias_offset >= 0)
      linear.bias = reinterpret_cast<const float*>(bytes.get() + place.bias_offset);
    linear.type = *KernelTypeOf(*ToScalarType(dtype));
    made.push_back(std::make_shared<const PackedLinearWeight>(linear, bytes));
  }
  auto out = std::make_shared<Weights>(weights);
  auto place = plan.place_of.begin();
  ForEachLinear(out->objects, [&](size_t /*object*/, LinearPtr& linear) {
    if (place->has_value()) linear = made[**place];
    ++place;
  });
  return out;
}

}  // namespace

absl::StatusOr<Packed> PackLinears(const proto::Graph& graph,
                                   std::shared_ptr<const Weights> weights,
                                   const PackOptions& options) {
  const Plan plan = PlanOf(graph, *weights, options);
  Packed out;
  out.bytes = plan.bytes;
  std::shared_ptr<const uint8_t> bytes;
  const bool is_kept = options.cache != nullptr && plan.bytes >= options.least_cached_bytes;
  std::string key;
  if (is_kept) {
    KEEL_ASSIGN_OR_RETURN(key, KeyOf(graph, *weights, plan, options));
  }
  const auto warn = [&](absl::string_view what, const absl::Status& status) {
    out.warnings.push_back(absl::StrCat("--weight-cache: ", what, status.message()));
  };
  if (is_kept) {
    absl::StatusOr<std::shared_ptr<const uint8_t>> found = options.cache->Find(key, plan.bytes);
    if (found.ok()) {
      bytes = *std::move(found);
      out.from_cache = true;
    } else if (!absl::IsNotFound(found.status())) {
      warn("weights are packed anew: ", found.status());
    }
  }
  if (!out.from_cache) {
    KEEL_ASSIGN_OR_RETURN(bytes, Pack(plan, *weights, options));
    if (is_kept) {
      const std::string note =
          absl::StrCat(weights->checkpoint->dir(), ", ", QuantizationName(options.quantization),
                       ", ", TorchName(options.dtype), ", ", options.part);
      const absl::Status status = options.cache->Write(key, note, bytes, plan.bytes);
      if (!status.ok()) warn("packed weights are not kept for the next start: ", status);
    }
  }
  weights->checkpoint->DropPages();
  out.weights = WithPacked(*weights, plan, options.dtype, std::move(bytes));
  return out;
}

}  // namespace keel
