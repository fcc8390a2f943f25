// Kernels of a plugin's own: what the model's Kernel (layers.h) runs. Included by plugin.h.
//
//   #include "sdk/keel/kernel_class.h"
//   using namespace keel;
//
//   class ScaleKernel {  // y = factor * x, fp32
//    public:
//     static constexpr const char* kKernel = "org.example.scale";
//     static constexpr uint32_t kFlags = KEEL_KERNEL_ROWWISE | KEEL_KERNEL_INVARIANT;
//     static std::vector<Meta> Infer(const KernelUse&, std::span<const Meta> in) { return {in[0]}; }
//
//     explicit ScaleKernel(const KernelUse& use) : factor_(use.attrs.Real("factor")) {}
//     void Run(const KernelContext& context, Operands in, Results out) const {
//       const float* x = in[0].Data<float>();
//       float* y = out[0].Data<float>();
//       context.ParallelFor(in[0].Elements(), 1024, [&](int64_t begin, int64_t end) {
//         for (int64_t i = begin; i < end; ++i) y[i] = static_cast<float>(factor_) * x[i];
//       });
//     }
//
//    private:
//     double factor_;
//   };
//
// A kernel class K, one more name in KEEL_PLUGIN, has
//   static constexpr const char* kKernel     reverse DNS
//   static constexpr uint32_t kFlags         what it promises, KEEL_KERNEL_*
//   static std::vector<Meta> Infer(const KernelUse&, std::span<const Meta> in)
//                                            types of the results; negative sizes are passed on
//   explicit K(const KernelUse&)             one a declaration and rank
//   void Run(const KernelContext&, Operands in, Results out)
// and may have
//   size_t Workspace(Operands in, Results out)   bytes, for KernelContext::workspace
// Operands and results are contiguous. Run is never called twice at once on one object. What is
// thrown becomes a status with a message. KEEL_DTYPE_MODEL stands for KernelUse::dtype.
#ifndef KEEL_SDK_KEEL_KERNEL_CLASS_H_
#define KEEL_SDK_KEEL_KERNEL_CLASS_H_

#include <algorithm>
#include <atomic>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <span>
#include <string>
#include <vector>

#include "sdk/keel/config.h"

namespace keel {

using Meta = keel_meta;

// What the declaration of a kernel says.
struct KernelUse {
  uint32_t dtype;  // of activations; KEEL_DTYPE_MODEL in Infer while recording
  Config attrs;    // the declaration's JSON

  explicit KernelUse(const keel_kernel_use& use) : dtype(use.dtype), attrs(use.attrs) {}
};

// A tensor in memory.
class View {
 public:
  View(const keel_dl_tensor* tensor) : tensor_(tensor) {}  // NOLINT: a pointer with names

  // T is of the tensor's type: the caller knows it from Infer, or asks dtype().
  template <typename T>
  T* Data() const {
    return reinterpret_cast<T*>(static_cast<char*>(tensor_->data) + tensor_->byte_offset);
  }
  uint32_t dtype() const {
    return tensor_->dtype.code | tensor_->dtype.bits << 8 |
           static_cast<uint32_t>(tensor_->dtype.lanes) << 16;
  }
  int32_t rank() const { return tensor_->ndim; }
  int64_t Size(int32_t dim) const { return tensor_->shape[dim < 0 ? rank() + dim : dim]; }
  int64_t Stride(int32_t dim) const { return tensor_->strides[dim < 0 ? rank() + dim : dim]; }
  int64_t Elements() const {
    int64_t n = 1;
    for (int32_t d = 0; d < rank(); ++d) n *= tensor_->shape[d];
    return n;
  }
  const keel_dl_tensor* get() const { return tensor_; }

 private:
  const keel_dl_tensor* tensor_;
};
static_assert(sizeof(View) == sizeof(void*));  // an array of pointers is one of views

using Operands = std::span<const View>;
using Results = std::span<const View>;

// The host's threads, the workspace, and the sequences of a kernel with states.
class KernelContext {
 public:
  explicit KernelContext(const keel_kernel_context& context) : context_(context) {}

  // 64-byte aligned.
  template <typename T>
  T* Workspace() const {
    return static_cast<T*>(context_.workspace);
  }
  // f(begin, end) over [0, n) in pieces of at least `grain`, on several threads; returns when all
  // are done, throws what a piece threw.
  template <typename F>
  void ParallelFor(int64_t n, int64_t grain, const F& f) const {
    struct Job {
      const F& f;
      std::atomic<bool> failed = false;
      std::exception_ptr error = nullptr;
    } job{f};
    context_.parallel_for(
        context_.pool, n, grain,
        [](void* arg, int64_t begin, int64_t end) {
          Job& job = *static_cast<Job*>(arg);
          try {
            job.f(begin, end);
          } catch (...) {
            if (!job.failed.exchange(true)) job.error = std::current_exception();
          }
        },
        &job);
    if (job.error) std::rethrow_exception(job.error);
  }
  // Of a kernel with states: S sequences, each with rows [begin, end) of every operand and states
  // of its own, one call at a time for each.
  uint32_t NumSequences() const { return context_.sequences->num_sequences; }
  int64_t FirstRow(uint32_t sequence) const { return context_.sequences->cu_q[sequence]; }
  int64_t EndRow(uint32_t sequence) const { return context_.sequences->cu_q[sequence + 1]; }
  template <typename T>
  T* State(uint32_t state, uint32_t sequence) const {
    const View view(context_.sequences->states[state]);
    return view.Data<T>() + context_.sequences->slots[sequence] * view.Stride(0);
  }
  const keel_kernel_context& abi() const { return context_; }

 private:
  const keel_kernel_context& context_;
};

template <typename C>
concept KernelType = requires {
  { C::kKernel } -> std::convertible_to<const char*>;
};

// What a kernel class owes, one line an omission.
template <typename K>
consteval bool IsKernelClass() {
  constexpr bool kMade = std::constructible_from<K, const KernelUse&>;
  static_assert(kMade, "a kernel class in KEEL_PLUGIN lacks the constructor `K(const KernelUse&)`");
  constexpr bool kPromises = requires { uint32_t{K::kFlags}; };
  static_assert(kPromises,
                "a kernel class in KEEL_PLUGIN lacks `static constexpr uint32_t kFlags`");
  constexpr bool kInfers = requires(const KernelUse& use, std::span<const Meta> in) {
    { K::Infer(use, in) } -> std::convertible_to<std::vector<Meta>>;
  };
  static_assert(kInfers,
                "a kernel class in KEEL_PLUGIN lacks `static std::vector<Meta> Infer(const "
                "KernelUse&, std::span<const Meta>)`");
  constexpr bool kRuns = requires(K & k, const KernelContext& context, Operands in) {
    k.Run(context, in, in);
  };
  static_assert(kRuns,
                "a kernel class in KEEL_PLUGIN lacks `void Run(const KernelContext&, Operands, "
                "Results)`");
  return kMade && kPromises && kInfers && kRuns;
}

// The ABI's view of a kernel class.
template <typename K>
struct KernelClass {
  static keel_status Infer(void*, const keel_kernel_use* use, const keel_meta* in, uint32_t num_in,
                           keel_meta* out, uint32_t num_out) {
    return Guard([&] {
      const std::vector<Meta> results = K::Infer(KernelUse(*use), {in, num_in});
      if (results.size() != num_out) {
        throw Error("gives " + std::to_string(results.size()) + " results, the model takes " +
                    std::to_string(num_out));
      }
      std::copy(results.begin(), results.end(), out);
      return 0;
    });
  }
  static keel_status Create(void*, const keel_kernel_use* use, void** instance) {
    return Guard([&] {
      *instance = new K(KernelUse(*use));
      return 0;
    });
  }
  static uint64_t Workspace(void* self, const keel_dl_tensor* const* in, uint32_t num_in,
                            const keel_dl_tensor* const* out, uint32_t num_out) requires
      requires(K& k, Operands o) {
    k.Workspace(o, o);
  }
  {
    uint64_t bytes = 0;
    Guard([&] {
      bytes = static_cast<K*>(self)->Workspace(Views(in, num_in), Views(out, num_out));
      return 0;
    });
    return bytes;
  }
  static keel_status Run(void* self, const keel_kernel_context* context,
                         const keel_dl_tensor* const* in, uint32_t num_in,
                         keel_dl_tensor* const* out, uint32_t num_out) {
    return Guard([&] {
      static_cast<K*>(self)->Run(KernelContext(*context), Views(in, num_in), Views(out, num_out));
      return 0;
    });
  }
  static void Release(void* self) { delete static_cast<K*>(self); }

  static const keel_kernel_class* Get() {
    static const keel_kernel_class c = Make();
    return &c;
  }

 private:
  static Operands Views(const keel_dl_tensor* const* tensors, uint32_t n) {
    return {reinterpret_cast<const View*>(tensors), n};
  }

  static keel_kernel_class Make() {
    static constexpr int32_t kCpu[] = {1, 0};
    keel_kernel_class c{};
    c.struct_size = sizeof(c);
    c.flags = K::kFlags;
    c.name = K::kKernel;
    c.device_types = kCpu;
    c.infer = Infer;
    c.create = Create;
    if constexpr (requires(K & k, Operands o) { k.Workspace(o, o); }) c.workspace = Workspace;
    c.run = Run;
    c.release = Release;
    return c;
  }
};

}  // namespace keel
#endif  // KEEL_SDK_KEEL_KERNEL_CLASS_H_
