#include "core/graph/plugin_kernels.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/json.h"
#include "core/base/status.h"
#include "core/graph/errors.h"

namespace keel {
namespace {

constexpr int32_t kCpu = 1;  // DLPack's

// The symbolic sizes of a call's operands: number i is known to the plugin as -1 - i.
class Symbols {
 public:
  keel_meta ToMeta(const TensorType& type) {
    keel_meta meta = {};
    meta.dtype = static_cast<uint32_t>(type.dtype);
    meta.ndim = static_cast<uint32_t>(type.rank());
    for (int d = 0; d < type.rank(); ++d) meta.dims[d] = NumberOf(type.dims[d]);
    return meta;
  }

  absl::StatusOr<TensorType> FromMeta(const keel_meta& meta) const {
    if (meta.ndim > KEEL_MAX_DIMS || !proto::DataType_IsValid(static_cast<int>(meta.dtype))) {
      return Bad(absl::StrCat("data type ", meta.dtype, " with ", meta.ndim, " dimensions"),
                 absl::StrCat("a type of tensors and at most ", KEEL_MAX_DIMS));
    }
    TensorType type{static_cast<proto::DataType>(meta.dtype), {}};
    for (uint32_t d = 0; d < meta.ndim; ++d) {
      const int64_t dim = meta.dims[d];
      if (dim < -static_cast<int64_t>(sizes_.size()) || dim == 0) {
        return Bad(absl::StrCat("dimension ", d, " is ", dim),
                   "a size, or the negative number of an operand's");
      }
      type.dims.push_back(dim > 0 ? Extent{dim, "", 1} : sizes_[-1 - dim]);
    }
    return type;
  }

 private:
  int64_t NumberOf(const Extent& extent) {
    if (!extent.symbolic()) return extent.size;
    const auto found = std::find(sizes_.begin(), sizes_.end(), extent);
    const int64_t number = found - sizes_.begin();
    if (found == sizes_.end()) sizes_.push_back(extent);
    return -1 - number;
  }

  std::vector<Extent> sizes_;
};

}  // namespace

absl::StatusOr<const keel_kernel_class*> PluginKernels::Find(absl::string_view name) const {
  std::vector<absl::string_view> names;
  for (const keel_kernel_class* c : classes) {
    if (name == c->name) return c;
    names.push_back(c->name);
  }
  return absl::NotFoundError(absl::StrCat("no kernel \"", Shown(name),
                                          "\" in the model's own plugin, which has ",
                                          names.empty() ? "none" : absl::StrJoin(names, ", ")));
}

KernelUse::KernelUse(boost::json::value attrs, const std::string& where)
    : attrs_(std::move(attrs)), document_(attrs_, where) {}

absl::StatusOr<std::unique_ptr<KernelUse>> KernelUse::Create(const proto::Kernel& kernel,
                                                             uint32_t dtype) {
  const std::string where = absl::StrCat("attrs of kernel ", Shown(kernel.kernel()));
  KEEL_ASSIGN_OR_RETURN(boost::json::value attrs,
                        ParseJson(kernel.attrs().empty() ? "{}" : kernel.attrs(), where));
  if (!attrs.is_object()) return Bad(absl::StrCat(where, ": ", JsonSnippet(attrs)), "an object");
  auto use = std::unique_ptr<KernelUse>(new KernelUse(std::move(attrs), where));
  use->use_.struct_size = sizeof(use->use_);
  use->use_.dtype = dtype;
  use->use_.device_type = kCpu;
  use->use_.attrs = use->document_.root();
  return use;
}

absl::StatusOr<std::vector<TensorType>> InferKernelTypes(const PluginKernels& kernels,
                                                         const proto::Kernel& kernel,
                                                         absl::Span<const TensorType> inputs,
                                                         uint32_t num_outputs) {
  KEEL_ASSIGN_OR_RETURN(const keel_kernel_class* c, kernels.Find(kernel.kernel()));
  KEEL_ASSIGN_OR_RETURN(const std::unique_ptr<KernelUse> use,
                        KernelUse::Create(kernel, KEEL_DTYPE_MODEL));
  Symbols symbols;
  std::vector<keel_meta> in, out(num_outputs);
  for (const TensorType& input : inputs) in.push_back(symbols.ToMeta(input));
  const absl::Status called =
      CallThrough(kernels.call, absl::StrCat("kernel ", c->name, ".infer"), [&] {
        return c->infer(kernels.plugin, use->get(), in.data(), static_cast<uint32_t>(in.size()),
                        out.data(), num_outputs);
      });
  KEEL_RETURN_IF_ERROR(use->status());
  KEEL_RETURN_IF_ERROR(called);
  std::vector<TensorType> types;
  for (uint32_t i = 0; i < num_outputs; ++i) {
    absl::StatusOr<TensorType> type = symbols.FromMeta(out[i]);
    if (!type.ok()) return Annotate(type.status(), absl::StrCat(c->name, ".infer: output ", i));
    types.push_back(*std::move(type));
  }
  return types;
}

}  // namespace keel
