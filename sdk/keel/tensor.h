// Tensors of a forward: handles with operators. Cheap to copy; valid while the forward runs.
//
//   #include "sdk/keel/tensor.h"
//   using namespace keel;
//
//   Tensor Gated(Tensor x, Tensor gate) {  // x, gate [N, 64] -> [N, 64], each head of 16 by itself
//     const Tensor heads = x.Heads(16);    // [N, 4, 16]
//     const Tensor weights = gate.Heads(16).Softmax(-1);
//     return (heads * weights * 0.5 + heads).Flat();
//   }
#ifndef KEEL_SDK_KEEL_TENSOR_H_
#define KEEL_SDK_KEEL_TENSOR_H_

#include <cstdint>
#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

#include "sdk/keel/host.h"

namespace keel {

struct Tensor {
  keel_run* run = nullptr;
  keel_tensor id = 0;

  const keel_ops& ops() const { return *run->ops; }
  // For an op that is not in every host's table: `has` is KEEL_HAS of it.
  static void Require(bool has, const char* op) {
    if (!has) throw Error(std::string("this host has no op ") + op + "; a newer one does");
  }
  Tensor With(keel_tensor other) const { return {run, other}; }

  // Shapes. In View 0 keeps a size and -1 is inferred: the number of tokens has no value in a
  // recorded graph.
  Tensor View(std::initializer_list<int64_t> dims) const {
    return With(ops().view(run, id, static_cast<uint32_t>(dims.size()), dims.begin()));
  }
  Tensor Heads(int64_t head_dim) const {
    return View({0, -1, head_dim});
  }                                              // [N, H * D] -> [N, H, D]
  Tensor Flat() const { return View({0, -1}); }  // [N, H, D] -> [N, H * D]
  Tensor Permute(std::initializer_list<int32_t> order) const {
    return With(ops().permute(run, id, static_cast<uint32_t>(order.size()), order.begin()));
  }
  Tensor Narrow(int32_t dim, int64_t start, int64_t length) const {
    return With(ops().narrow(run, id, dim, start, length));
  }
  // Consecutive parts of the last dimension.
  std::vector<Tensor> Split(std::initializer_list<int64_t> sizes) const {
    std::vector<Tensor> out;
    int64_t start = 0;
    for (const int64_t size : sizes) {
      out.push_back(Narrow(-1, start, size));
      start += size;
    }
    return out;
  }
  Tensor Repeat(int32_t dim, int64_t times) const {
    return With(ops().repeat(run, id, dim, times));
  }
  // As `like` is, dimensions of size 1 or absent ones being repeated.
  Tensor ExpandAs(Tensor like) const {
    Require(KEEL_HAS(run->ops, keel_ops, expand), "expand");
    return With(ops().expand(run, id, like.id));
  }
  Tensor Cast(uint32_t dtype) const { return With(ops().cast(run, id, dtype)); }
  int64_t Dim(int32_t dim) const { return ops().dim(run, id, dim); }

  // Mathematics.
  Tensor Unary(uint32_t kind) const { return With(ops().unary(run, id, kind)); }
  Tensor Act(uint32_t act) const { return Unary(KEEL_UNARY_ACT + act); }
  Tensor Sigmoid() const { return Unary(KEEL_UNARY_SIGMOID); }
  Tensor Softmax(int32_t dim) const { return With(ops().softmax(run, id, dim)); }
  Tensor Mean(int32_t dim, bool keep_dim = false) const {
    return With(ops().reduce(run, id, dim, KEEL_REDUCE_MEAN, keep_dim));
  }
  Tensor Sum(int32_t dim, bool keep_dim = false) const {
    return With(ops().reduce(run, id, dim, KEEL_REDUCE_SUM, keep_dim));
  }
  std::pair<Tensor, Tensor> TopK(int64_t k) const {  // values, indices
    keel_tensor values = 0, indices = 0;
    ops().topk(run, id, k, &values, &indices);
    return {With(values), With(indices)};
  }
  Tensor Rows(Tensor indices) const { return With(ops().gather_rows(run, id, indices.id)); }
  Tensor Take(int32_t dim, Tensor indices) const {
    Require(KEEL_HAS(run->ops, keel_ops, take), "take");
    return With(ops().take(run, id, dim, indices.id));
  }
  Tensor Scatter(int32_t dim, Tensor indices, Tensor values) const {
    Require(KEEL_HAS(run->ops, keel_ops, scatter), "scatter");
    return With(ops().scatter(run, id, dim, indices.id, values.id));
  }
  Tensor Compare(Tensor other, uint32_t kind) const {  // KEEL_COMPARE_*
    Require(KEEL_HAS(run->ops, keel_ops, compare), "compare");
    return With(ops().compare(run, id, other.id, kind));
  }

  friend Tensor operator+(Tensor a, Tensor b) { return a.With(a.ops().add(a.run, a.id, b.id)); }
  friend Tensor operator-(Tensor a, Tensor b) { return a.With(a.ops().sub(a.run, a.id, b.id)); }
  friend Tensor operator*(Tensor a, Tensor b) { return a.With(a.ops().mul(a.run, a.id, b.id)); }
  friend Tensor operator/(Tensor a, Tensor b) { return a.With(a.ops().div(a.run, a.id, b.id)); }
  friend Tensor operator*(Tensor a, double b) { return a.With(a.ops().affine(a.run, a.id, b, 0)); }
  friend Tensor operator*(double a, Tensor b) { return b * a; }
  friend Tensor operator+(Tensor a, double b) { return a.With(a.ops().affine(a.run, a.id, 1, b)); }
  friend Tensor operator-(double a, Tensor b) { return b.With(b.ops().affine(b.run, b.id, -1, a)); }
};

inline Tensor Minimum(Tensor a, Tensor b) {
  Tensor::Require(KEEL_HAS(a.run->ops, keel_ops, binary), "binary");
  return a.With(a.ops().binary(a.run, a.id, b.id, KEEL_BINARY_MIN));
}
inline Tensor Maximum(Tensor a, Tensor b) {
  Tensor::Require(KEEL_HAS(a.run->ops, keel_ops, binary), "binary");
  return a.With(a.ops().binary(a.run, a.id, b.id, KEEL_BINARY_MAX));
}
inline Tensor And(Tensor a, Tensor b) {
  Tensor::Require(KEEL_HAS(a.run->ops, keel_ops, logical), "logical");
  return a.With(a.ops().logical(a.run, a.id, b.id, KEEL_LOGICAL_AND));
}
inline Tensor Or(Tensor a, Tensor b) {
  Tensor::Require(KEEL_HAS(a.run->ops, keel_ops, logical), "logical");
  return a.With(a.ops().logical(a.run, a.id, b.id, KEEL_LOGICAL_OR));
}
inline Tensor Not(Tensor a) { return a.Unary(KEEL_UNARY_NOT); }
inline Tensor Where(Tensor condition, Tensor a, Tensor b) {
  return a.With(a.ops().where(a.run, condition.id, a.id, b.id));
}
inline Tensor MatMul(Tensor a, Tensor b) { return a.With(a.ops().matmul(a.run, a.id, b.id)); }
// act(gate) * up
inline Tensor ActMul(Tensor gate, Tensor up, uint32_t act) {
  return gate.With(gate.ops().act_mul(gate.run, gate.id, up.id, act));
}
inline Tensor Cat(const std::vector<Tensor>& xs, int32_t dim) {
  std::vector<keel_tensor> ids;
  for (const Tensor& x : xs) ids.push_back(x.id);
  return xs.front().With(
      xs.front().ops().cat(xs.front().run, ids.data(), static_cast<uint32_t>(ids.size()), dim));
}

// Numbers that are part of the model; they must depend on the config alone. `dims` as in View, all
// known.
inline Tensor Constant(keel_run* run, std::initializer_list<int64_t> dims,
                       const std::vector<float>& values) {
  size_t size = 1;
  for (const int64_t dim : dims) size *= static_cast<size_t>(dim);
  if (size != values.size()) throw Error("a constant's values don't fill its dimensions");
  return {run, run->ops->constant(run, KEEL_F32, static_cast<uint32_t>(dims.size()), dims.begin(),
                                  values.data())};
}

// A named argument of attention or a recurrence: a tensor or a number. `flags`: KEEL_ARG_*, for an
// attention's arguments that the host does not know.
struct Arg {
  Arg(const char* n, Tensor t, uint32_t f = 0) : name(n), tensor(t.id), flags(f) {}
  Arg(const char* n, double x, uint32_t f = 0) : name(n), number(x), flags(f) {}
  const char* name;
  double number = 0;
  keel_tensor tensor = 0;
  uint32_t flags = 0;
};

inline std::vector<keel_arg> ToAbi(std::initializer_list<Arg> args) {
  std::vector<keel_arg> out;
  for (const Arg& arg : args) out.push_back({arg.name, arg.number, arg.tensor, arg.flags});
  return out;
}

}  // namespace keel
#endif  // KEEL_SDK_KEEL_TENSOR_H_
