#include "core/ops/conv.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/conv1d.h>
#include <ATen/ops/conv2d.h>
#include <ATen/ops/conv3d.h>

#include <algorithm>
#include <optional>
#include <vector>

#include "core/kernels/linear.h"

namespace keel {
namespace {

int64_t Groups(const proto::Conv& conv) { return std::max<int64_t>(1, conv.groups()); }

at::Tensor ConvAten(const proto::Conv& conv, const ConvWeight& w, const at::Tensor& x) {
  const auto list = [](const auto& field) { return at::IntArrayRef(field.data(), field.size()); };
  const at::IntArrayRef stride = list(conv.stride()), padding = list(conv.padding());
  const std::vector<int64_t> dilation(conv.kernel_size(), 1);
  const std::optional<at::Tensor> bias =
      w.bias.defined() ? std::optional<at::Tensor>(w.bias) : std::nullopt;
  switch (conv.kernel_size()) {
    case 1:
      return at::conv1d(x, w.weight, bias, stride, padding, dilation, Groups(conv));
    case 2:
      return at::conv2d(x, w.weight, bias, stride, padding, dilation, Groups(conv));
    default:
      TORCH_CHECK(conv.kernel_size() == 3, "a convolution of ", conv.kernel_size(), " dimensions");
      return at::conv3d(x, w.weight, bias, stride, padding, dilation, Groups(conv));
  }
}

// What each output looks at: [items, out space .., in, kernel ..].
at::Tensor Patches(const proto::Conv& conv, const at::Tensor& x) {
  const int nd = conv.kernel_size();
  std::vector<int64_t> padding;  // before and after, the last dimension first
  for (int d = nd; d-- > 0;) padding.insert(padding.end(), 2, conv.padding(d));
  at::Tensor patches = at::constant_pad_nd(x, padding);
  for (int d = 0; d < nd; ++d) patches = patches.unfold(2 + d, conv.kernel(d), conv.stride(d));
  return patches.movedim(1, 1 + nd);
}

// A linear over patches.
at::Tensor ConvLinear(const proto::Conv& conv, const ConvWeight& w, const at::Tensor& x,
                      at::Tensor (*linear)(const at::Tensor&, const at::Tensor&,
                                           const at::Tensor&)) {
  const int64_t in_dim = 1 + conv.kernel_size(), groups = Groups(conv);
  const at::Tensor patches = Patches(conv, x), weight = w.weight.flatten(1);
  std::vector<int64_t> rows(patches.sizes().begin(), patches.sizes().begin() + in_dim);
  rows.push_back(weight.size(1));
  const int64_t in = conv.in() / groups, out = conv.out() / groups;
  std::vector<at::Tensor> parts;
  for (int64_t g = 0; g < groups; ++g) {
    parts.push_back(linear(patches.narrow(in_dim, g * in, in).reshape(rows),
                           weight.narrow(0, g * out, out),
                           w.bias.defined() ? w.bias.narrow(0, g * out, out) : w.bias));
  }
  return at::cat(parts, -1).movedim(-1, 1).contiguous();
}

// Patches of a picture: side by side, none of them in the padding.
bool PatchesAreApart(const proto::Conv& conv) {
  for (int d = 0; d < conv.kernel_size(); ++d)
    if (conv.kernel(d) != conv.stride(d) || conv.padding(d) != 0) return false;
  return Groups(conv) == 1;
}

at::Tensor Run(const proto::Conv& conv, const ConvWeight& w, const at::Tensor& x,
               Numerics numerics) {
  // So that an output has the same bits whatever its item and its neighbours.
  if (numerics == Numerics::kInvariant) return ConvLinear(conv, w, x.contiguous(), LinearInvariant);
  // A vision tower's first: 1,024 patches of Qwen2.5-VL-3B in bfloat16 take ATen's conv3d 280 ms, on one thread.
  if (PatchesAreApart(conv)) return ConvLinear(conv, w, x, LinearAten);
  return ConvAten(conv, w, x);
}

}  // namespace

at::Tensor RunConv(const proto::Conv& conv, const ConvWeight& w, const at::Tensor& x,
                   Numerics numerics) {
  const bool one_row = conv.kernel_size() == 1 && x.dim() == 2;
  const at::Tensor in = one_row ? x.transpose(0, 1).unsqueeze(0) : x;
  const at::Tensor out = Run(conv, w, in, numerics);
  return one_row ? out.squeeze(0).transpose(0, 1).contiguous() : out;
}

}  // namespace keel
