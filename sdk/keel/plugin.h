// The C++ SDK of a Keel plugin: include this header and the blocks that the model is made of
// (sdk/keel/blocks), write the model, end with KEEL_PLUGIN. The smallest one, a norm between the
// embedding and the head:
//
//   #include "sdk/keel/plugin.h"
//   using namespace keel;
//
//   struct TinyConfig {
//     int64_t hidden_size, vocab_size;
//     explicit TinyConfig(const Config& c)
//         : hidden_size(c.Int("hidden_size")), vocab_size(c.Int("vocab_size")) {}
//     Spec spec() const {
//       Spec s;
//       s.hidden_size = hidden_size;
//       s.vocab_size = vocab_size;
//       return s;
//     }
//   };
//
//   struct TinyForCausalLM {
//     static constexpr const char* kModelType = "tiny";
//     static constexpr const char* kArchitectures[] = {"TinyForCausalLM"};
//     using ConfigType = TinyConfig;
//
//     RmsNorm norm;
//     TinyForCausalLM(const Scope& root, const TinyConfig& c)
//         : norm(root / "model" / "norm", c.hidden_size, 1e-6) {}
//     Tensor Forward(const Inputs& in) const { return norm(in.embeds); }
//   };
//
//   KEEL_PLUGIN("org.example.tiny", "1.0.0", TinyForCausalLM);
//
// A model class M, named as in transformers, has
//   static constexpr const char* kModelType       "llama"
//   static constexpr const char* kArchitectures[] {"LlamaForCausalLM"}; the first names the class
//   using ConfigType                              made from a keel::Config; has `Spec spec() const`
//   M(const Scope& root, const ConfigType&)       declares the layers
//   Tensor Forward(const Inputs&) const           embeds [N, H] -> hidden [N, H]
// and may have
//   Tensor Logits(Tensor hidden) const            [R, H] -> [R, vocab]; else lm_head of the spec
//   Tensor Encode(std::string_view modality, const std::vector<Tensor>& inputs) const
//     or std::vector<Tensor>: the features, and for the same tokens what forward gets as the inputs
//     MoreFeatures(0), MoreFeatures(1) ... of the spec
//   Tensor Pool(Tensor hidden) const              [R, H] -> [R, size]
// KEEL_PLUGIN says in one line what a class lacks.
// A processor class is described in processor.h, attention and kernels of the plugin's own in
// attention_class.h and kernel_class.h.
#ifndef KEEL_SDK_KEEL_PLUGIN_H_
#define KEEL_SDK_KEEL_PLUGIN_H_

#include <concepts>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include "sdk/keel/attention_class.h"
#include "sdk/keel/config.h"
#include "sdk/keel/kernel_class.h"
#include "sdk/keel/layers.h"
#include "sdk/keel/plugin_note.h"
#include "sdk/keel/processor.h"
#include "sdk/keel/tensor.h"

namespace keel {

// What a model class owes, one line an omission. False or a failed assertion: nothing else of the
// class is looked at, so that the line stands alone.
template <typename M>
consteval bool IsModelClass() {
  constexpr bool kNames = requires {
    { M::kModelType } -> std::convertible_to<const char*>;
    std::begin(M::kArchitectures);
  };
  static_assert(kNames,
                "a class in KEEL_PLUGIN lacks `static constexpr const char* kModelType` or "
                "`static constexpr const char* kArchitectures[]`");
  constexpr bool kConfig = requires { typename M::ConfigType; };
  static_assert(kConfig, "a class in KEEL_PLUGIN lacks `using ConfigType = ...`");
  constexpr bool kForward = requires(const M& m, const Inputs& in) {
    { m.Forward(in) } -> std::convertible_to<Tensor>;
  };
  static_assert(kForward, "a class in KEEL_PLUGIN lacks `Tensor Forward(const Inputs&) const`");
  bool ok = kNames && kConfig && kForward;
  if constexpr (kConfig) {
    using C = typename M::ConfigType;
    constexpr bool kReads = std::constructible_from<C, const Config&>;
    static_assert(kReads, "the ConfigType of a class in KEEL_PLUGIN lacks `C(const Config&)`");
    constexpr bool kSpec = requires(const C& c) {
      { c.spec() } -> std::convertible_to<Spec>;
    };
    static_assert(kSpec, "the ConfigType of a class in KEEL_PLUGIN lacks `Spec spec() const`");
    constexpr bool kDeclares = std::constructible_from<M, const Scope&, const C&>;
    static_assert(
        kDeclares,
        "a class in KEEL_PLUGIN lacks the constructor `M(const Scope&, const ConfigType&)`");
    ok = ok && kReads && kSpec && kDeclares;
  }
  return ok;
}

// The ABI's view of a model class.
template <typename M>
struct ModelClass {
  static keel_status Config(void*, keel_config* config, keel_spec* spec) {
    return Guard([&] { return typename M::ConfigType(keel::Config(config)).spec().Write(spec); });
  }
  static keel_status Create(void*, keel_config* config, keel_build* build, void** model) {
    return Guard([&] {
      *model = new M(Scope(build), typename M::ConfigType(keel::Config(config)));
      return build->api->status(build);
    });
  }
  static keel_status Forward(const void* model, keel_run* run, const keel_forward_inputs* in,
                             keel_tensor* hidden) {
    return Guard([&] {
      Inputs inputs{
          run, {run, in->embeds}, {run, in->positions}, Tensors(run, in->extras, in->num_extras)};
      *hidden = static_cast<const M*>(model)->Forward(inputs).id;
      return run->ops->status(run);
    });
  }
  static keel_status Logits(const void* model, keel_run* run, keel_tensor hidden,
                            keel_tensor* logits) requires requires(const M& m, Tensor t) {
    m.Logits(t);
  }
  {
    return Guard([&] {
      *logits = static_cast<const M*>(model)->Logits({run, hidden}).id;
      return run->ops->status(run);
    });
  }
  static keel_status Encode(const void* model, keel_run* run, const char* modality,
                            const keel_tensor* in, uint32_t n, keel_tensor* features) requires
      requires(const M& m, std::vector<Tensor> t) {
    m.Encode("", t);
  }
  {
    return Guard([&] {
      *features = RowsOf(static_cast<const M*>(model)->Encode(modality, Tensors(run, in, n))).id;
      return run->ops->status(run);
    });
  }
  static keel_status Pool(const void* model, keel_run* run, keel_tensor hidden,
                          keel_tensor* vectors) requires requires(const M& m, Tensor t) {
    m.Pool(t);
  }
  {
    return Guard([&] {
      *vectors = static_cast<const M*>(model)->Pool({run, hidden}).id;
      return run->ops->status(run);
    });
  }
  static void Destroy(void* model) { delete static_cast<M*>(model); }

  static const keel_model_class* Get() {
    static const keel_model_class c = Make();
    return &c;
  }

  // "LlamaForCausalLM", or "A,B"; for the plugin's note.
  static constexpr std::string Architectures() {
    std::string out;
    for (const char* name : M::kArchitectures) out += (out.empty() ? "" : ",") + std::string(name);
    return out;
  }

 private:
  // The results of encode, those of each feature one after the other.
  static Tensor RowsOf(Tensor features) { return features; }
  static Tensor RowsOf(const std::vector<Tensor>& results) {
    if (results.size() == 1) return results.front();
    std::vector<Tensor> columns;
    for (const Tensor& x : results) columns.push_back(x.View({0, 1, -1}));
    return Cat(columns, 1).View({-1, results.front().Dim(-1)});
  }

  static std::vector<Tensor> Tensors(keel_run* run, const keel_tensor* ids, uint32_t n) {
    std::vector<Tensor> out;
    for (uint32_t i = 0; i < n; ++i) out.push_back({run, ids[i]});
    return out;
  }

  static keel_model_class Make() {
    static const std::vector<const char*> architectures = [] {
      std::vector<const char*> names(std::begin(M::kArchitectures), std::end(M::kArchitectures));
      names.push_back(nullptr);
      return names;
    }();
    keel_model_class c{};
    c.struct_size = sizeof(c);
    c.name = architectures.front();
    c.model_type = M::kModelType;
    c.architectures = architectures.data();
    c.config = Config;
    c.create = Create;
    c.forward = Forward;
    if constexpr (requires(const M& m, Tensor t) { m.Logits(t); }) c.logits = Logits;
    if constexpr (requires(const M& m, std::vector<Tensor> t) { m.Encode("", t); })
      c.encode = Encode;
    if constexpr (requires(const M& m, Tensor t) { m.Pool(t); }) c.pool = Pool;
    c.destroy = Destroy;
    return c;
  }
};

// The bootstrap of a plugin that provides `Classes`: models, processors, attention and kernels, in any
// order.
template <typename... Classes>
struct PluginOf {
  static keel_status Init(const keel_host* host, void** self) {
    const auto find = [&](const char* id) { return host->get_interface(host->self, id); };
    *self = nullptr;
    g_host = {host, static_cast<const keel_config_api*>(find("keel.config/1")),
              static_cast<const keel_spec_api*>(find("keel.spec/1"))};
    if (g_host.config != nullptr && g_host.spec != nullptr) return 0;
    constexpr std::string_view kMessage =
        "the host has no keel.config/1 or keel.spec/1; update keel";
    host->set_error(host->self, 12, kMessage.data(), kMessage.size());
    return 12;
  }
  // Attention and kernels work on the data: the plugin stays loaded for them.
  static constexpr uint64_t kFlags =
      (AttentionType<Classes> || ...) || (KernelType<Classes> || ...) ? KEEL_PLUGIN_HAS_KERNELS : 0;
  static void Shutdown(void*) { g_host = {}; }
  static const void* GetInterface(void*, const char* id) {
    static const Lists lists;
    const std::string_view wanted(id);
    if (wanted == "keel.models/1") return lists.models.Get();
    if (wanted == "keel.processors/1") return lists.processors.Get();
    if (wanted == "keel.attention/1") return lists.attention.Get();
    if (wanted == "keel.kernels/1") return lists.kernels.Get();
    return nullptr;
  }
  static constexpr std::string Note(const char* id, const char* version) {
    Names names;
    (AddNames<Classes>(names), ...);
    return "id=" + std::string(id) + "\nversion=" + version +
           "\narchitectures=" + names.architectures + "\nmodel_types=" + names.types +
           "\nattention=" + names.attention + "\nkernels=" + names.kernels +
           "\nprocessors=" + names.processors + "\n";
  }

 private:
  struct List {
    std::vector<const void*> items;
    keel_list list = {};
    void Close() { list = {sizeof(list), static_cast<uint32_t>(items.size()), items.data()}; }
    const keel_list* Get() const { return items.empty() ? nullptr : &list; }
  };
  struct Lists {
    List models, processors, attention, kernels;
    Lists() {
      (Add<Classes>(), ...);
      for (List* list : {&models, &processors, &attention, &kernels}) list->Close();
    }
    template <typename C>
    void Add() {
      if constexpr (ProcessorType<C>) {
        processors.items.push_back(ProcessorClass<C>::Get());
      } else if constexpr (AttentionType<C>) {
        if constexpr (IsAttentionClass<C>()) attention.items.push_back(AttentionClass<C>::Get());
      } else if constexpr (KernelType<C>) {
        if constexpr (IsKernelClass<C>()) kernels.items.push_back(KernelClass<C>::Get());
      } else if constexpr (IsModelClass<C>()) {
        models.items.push_back(ModelClass<C>::Get());
      }
    }
  };

  struct Names {  // comma-separated
    std::string architectures, types, attention, kernels, processors;
  };

  template <typename C>
  static constexpr void AddNames(Names& names) {
    const auto add = [](std::string& to, const std::string& names) {
      to += (to.empty() ? "" : ",") + names;
    };
    if constexpr (ProcessorType<C>) {
      add(names.processors, ProcessorClass<C>::Names());
    } else if constexpr (AttentionType<C>) {
      add(names.attention, C::kAttention);
    } else if constexpr (KernelType<C>) {
      add(names.kernels, C::kKernel);
    } else if constexpr (IsModelClass<C>()) {
      add(names.architectures, ModelClass<C>::Architectures());
      add(names.types, C::kModelType);
    }
  }
};

}  // namespace keel

// libstdc++, which a plugin has linked in statically, takes 72 KiB for exceptions that are thrown when
// memory is out, and gives them back to nobody: each load would cost that much. A sanitizer's build
// shares the host's libstdc++.
#if defined(__GLIBCXX__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
namespace __gnu_cxx {
void __freeres() __attribute__((weak));  // NOLINT: its name
}
namespace keel {
__attribute__((destructor)) inline void FreeExceptionMemory() {
  if (__gnu_cxx::__freeres != nullptr) __gnu_cxx::__freeres();
}
}  // namespace keel
#endif

// KEEL_PLUGIN("org.example.llama", "1.0.0", LlamaForCausalLM, ...): the plugin's one exported
// symbol and its note. The list holds models, processors, attention and kernels.
#define KEEL_PLUGIN(plugin_id, plugin_version, ...)                                          \
  KEEL_PLUGIN_NOTE_OF(::keel::PluginOf<__VA_ARGS__>::Note(plugin_id, plugin_version));       \
  extern "C" __attribute__((visibility("default"))) const keel_plugin* keel_plugin_entry_v1( \
      void) {                                                                                \
    using KeelPlugin = ::keel::PluginOf<__VA_ARGS__>;                                        \
    static const keel_plugin plugin = {sizeof(keel_plugin),                                  \
                                       KEEL_ABI_MAJOR,                                       \
                                       KEEL_ABI_MINOR,                                       \
                                       0,                                                    \
                                       plugin_id,                                            \
                                       plugin_version,                                       \
                                       "",                                                   \
                                       "",                                                   \
                                       KeelPlugin::kFlags,                                   \
                                       KeelPlugin::Init,                                     \
                                       KeelPlugin::Shutdown,                                 \
                                       KeelPlugin::GetInterface};                            \
    return &plugin;                                                                          \
  }                                                                                          \
  static_assert(true, "")

#endif  // KEEL_SDK_KEEL_PLUGIN_H_
