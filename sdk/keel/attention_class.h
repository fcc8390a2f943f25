// Attention of a plugin's own, a value of _attn_implementation and --attention-implementation.
// Included by plugin.h.
//
//   #include "sdk/keel/attention_class.h"
//   using namespace keel;
//
//   class NewestValue {  // each query takes the value of the newest key, out of the host's rows
//    public:
//     static constexpr const char* kAttention = "org.example.newest";
//     static constexpr uint32_t kFlags = KEEL_KERNEL_INVARIANT;
//     explicit NewestValue(const AttentionUse& use) {
//       if (use.dtype != KEEL_F32) throw Unsupported("takes float32 alone");
//     }
//     void Run(const KernelContext&, const keel_attention_call& call) const {
//       const View values(call.v_cache), out(call.out);
//       const auto* slots = View(call.slots).Data<int64_t>();
//       const int64_t heads = call.desc->heads, kv_heads = call.desc->kv_heads;
//       const int64_t size = call.desc->v_dim, block_size = values.Size(2);
//       for (int64_t n = 0; n < call.num_tokens; ++n) {
//         for (int64_t h = 0; h < heads; ++h) {
//           const int64_t row = slots[n] / block_size * kv_heads + h * kv_heads / heads;
//           const float* v = values.Data<float>() +
//                            (row * block_size + slots[n] % block_size) * size;
//           std::copy(v, v + size, out.Data<float>() + (n * heads + h) * size);
//         }
//       }
//     }
//   };
//
// An attention class A, one more name in KEEL_PLUGIN, has
//   static constexpr const char* kAttention    its name, reverse DNS
//   static constexpr uint32_t kFlags           what it promises, KEEL_KERNEL_*
//   explicit A(const AttentionUse&)            one a layer and rank; throws Unsupported for what it
//                                              does not serve
//   void Run(const KernelContext&, const keel_attention_call&)
// and may have
//   static constexpr const char* kArgs[]       the arguments of the model that it takes
//   AttentionCache Cache() const               what it keeps of a token, if not the host's rows
//   void Write(const KernelContext&, const keel_attention_call&)    this step's k, v into that
//   size_t PlanBytes(const keel_attention_call&)                    once a step for layers alike:
//   void Plan(const keel_attention_call&, void* plan)               what they all need; call.plan
//   size_t Workspace(const keel_attention_call&)                    bytes for Run
// The functions' rules are those of keel_attention_class in sdk/abi/plugin.h.
#ifndef KEEL_SDK_KEEL_ATTENTION_CLASS_H_
#define KEEL_SDK_KEEL_ATTENTION_CLASS_H_

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include "sdk/keel/kernel_class.h"

namespace keel {

// What an attention class does not serve.
inline Error Unsupported(const std::string& what) { return Error(what, 12); }

struct AttentionUse {
  keel_attention_desc desc;            // the scale resolved, heads of this rank
  uint32_t dtype;                      // of q, k, v, out and of the host's rows
  int64_t block_size;                  // tokens a cache block holds
  std::vector<std::string_view> args;  // of kArgs, those that the model gives

  explicit AttentionUse(const keel_attention_use& use)
      : desc(*use.desc),
        dtype(use.dtype),
        block_size(use.block_size),
        args(use.arg_names, use.arg_names + use.num_args) {}
};

struct AttentionCache {
  uint32_t layout = KEEL_KV_ROWS;
  std::vector<Meta> tensors = {};  // own ones, each of one block
};

template <typename C>
concept AttentionType = requires {
  { C::kAttention } -> std::convertible_to<const char*>;
};

// What an attention class owes, one line an omission.
template <typename A>
consteval bool IsAttentionClass() {
  constexpr bool kMade = std::constructible_from<A, const AttentionUse&>;
  static_assert(kMade,
                "an attention class in KEEL_PLUGIN lacks the constructor `A(const AttentionUse&)`");
  constexpr bool kPromises = requires { uint32_t{A::kFlags}; };
  static_assert(kPromises,
                "an attention class in KEEL_PLUGIN lacks `static constexpr uint32_t kFlags`");
  constexpr bool kRuns =
      requires(A & a, const KernelContext& context, const keel_attention_call& call) {
    a.Run(context, call);
  };
  static_assert(kRuns,
                "an attention class in KEEL_PLUGIN lacks `void Run(const KernelContext&, const "
                "keel_attention_call&)`");
  constexpr bool kKeeps = requires(const A& a) { a.Cache(); };
  constexpr bool kWrites =
      requires(A & a, const KernelContext& context, const keel_attention_call& call) {
    a.Write(context, call);
  };
  static_assert(kKeeps == kWrites,
                "an attention class in KEEL_PLUGIN has one of `Cache` and `Write`, expected both "
                "or none");
  return kMade && kPromises && kRuns && kKeeps == kWrites;
}

// The ABI's view of an attention class.
template <typename A>
struct AttentionClass {
  using Call = keel_attention_call;
  static constexpr bool kKeeps = requires(const A& a) { a.Cache(); };
  static constexpr bool kPlans = requires(A & a, const Call& call) { a.Plan(call, nullptr); };
  static constexpr bool kWorks = requires(A & a, const Call& call) { a.Workspace(call); };

  static keel_status Prepare(void*, const keel_attention_use* use, keel_attention_cache* cache,
                             void** instance) {
    return Guard([&] {
      auto* a = new A(AttentionUse(*use));
      *instance = a;
      if constexpr (kKeeps) SetCache(a->Cache(), *cache);
      return 0;
    });
  }
  static keel_status Write(void* self, const keel_kernel_context* context, const Call* call) {
    return Guard([&] {
      if constexpr (kKeeps) Self(self).Write(KernelContext(*context), *call);
      return 0;
    });
  }
  static uint64_t PlanBytes(void* self, const Call* call) {
    uint64_t bytes = 0;
    if constexpr (kPlans) Guard([&] { return bytes = Self(self).PlanBytes(*call), 0; });
    return bytes;
  }
  static keel_status Plan(void* self, const Call* call, void* plan) {
    return Guard([&] {
      if constexpr (kPlans) Self(self).Plan(*call, plan);
      return 0;
    });
  }
  static uint64_t Workspace(void* self, const Call* call) {
    uint64_t bytes = 0;
    if constexpr (kWorks) Guard([&] { return bytes = Self(self).Workspace(*call), 0; });
    return bytes;
  }
  static keel_status Run(void* self, const keel_kernel_context* context, const Call* call) {
    return Guard([&] {
      Self(self).Run(KernelContext(*context), *call);
      return 0;
    });
  }
  static void Release(void* self) { delete static_cast<A*>(self); }

  static const keel_attention_class* Get() {
    static const keel_attention_class c = Make();
    return &c;
  }

 private:
  static A& Self(void* self) { return *static_cast<A*>(self); }

  static void SetCache(const AttentionCache& from, keel_attention_cache& to) {
    if (from.tensors.size() > KEEL_MAX_CACHE_TENSORS) throw Error("too many cache tensors");
    to.layout = from.layout;
    to.num_tensors = static_cast<uint32_t>(from.tensors.size());
    std::copy(from.tensors.begin(), from.tensors.end(), to.tensors);
  }

  static keel_attention_class Make() {
    keel_attention_class c{};
    c.struct_size = sizeof(c);
    c.flags = A::kFlags;
    c.name = A::kAttention;
    if constexpr (requires { std::begin(A::kArgs); }) {
      static const std::vector<const char*> args = [] {
        std::vector<const char*> names(std::begin(A::kArgs), std::end(A::kArgs));
        names.push_back(nullptr);
        return names;
      }();
      c.args = args.data();
    }
    c.prepare = Prepare;
    if constexpr (kKeeps) c.write = Write;
    if constexpr (kPlans) c.plan_bytes = PlanBytes, c.plan = Plan;
    if constexpr (kWorks) c.workspace = Workspace;
    c.run = Run;
    c.release = Release;
    return c;
  }
};

}  // namespace keel
#endif  // KEEL_SDK_KEEL_ATTENTION_CLASS_H_
