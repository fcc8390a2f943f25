#include "core/attention/plugin_attention.h"

#include <deque>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/status.h"
#include "core/kernels/plugin_context.h"
#include "core/tensor/aten.h"
#include "core/tensor/dlpack.h"

namespace keel {
namespace {

// The names in a list that ends in NULL, which may be absent.
std::vector<absl::string_view> ArgsOf(const keel_attention_class& c) {
  std::vector<absl::string_view> names;
  for (const char* const* name = c.args; name != nullptr && *name != nullptr; ++name)
    names.push_back(*name);
  return names;
}

bool Takes(const keel_attention_class& c, absl::string_view arg) {
  for (const absl::string_view name : ArgsOf(c)) {
    if (name == arg) return true;
  }
  return false;
}

absl::StatusOr<AttentionCache> ReadCache(const keel_attention_class& c,
                                         const keel_attention_cache& cache) {
  const auto wrong = [](auto... what) {
    return absl::FailedPreconditionError(absl::StrCat("prepare: ", what...));
  };
  if (cache.layout > KEEL_KV_BOTH) {
    return wrong("layout is ", cache.layout,
                 ", expected KEEL_KV_ROWS, KEEL_KV_OWN or KEEL_KV_BOTH");
  }
  if (cache.num_tensors > KEEL_MAX_CACHE_TENSORS ||
      (cache.num_tensors == 0) != (cache.layout == KEEL_KV_ROWS)) {
    return wrong("num_tensors is ", cache.num_tensors, ", expected 1 to ", KEEL_MAX_CACHE_TENSORS,
                 ", with KEEL_KV_ROWS 0");
  }
  if (cache.num_tensors > 0 && c.write == nullptr)
    return wrong("asks for tensors of its own, which nobody writes: write is NULL");
  AttentionCache out;
  out.has_rows = cache.layout != KEEL_KV_OWN;
  for (uint32_t i = 0; i < cache.num_tensors; ++i) {
    const keel_meta& meta = cache.tensors[i];
    const std::optional<DType> dtype = DTypeFromImage(meta.dtype);
    if (meta.ndim >= KEEL_MAX_DIMS || !dtype || BytesOf(*dtype) == 0 || !ToScalarType(*dtype)) {
      return wrong("tensors[", i, "] has data type ", meta.dtype, " and ", meta.ndim,
                   " dimensions, expected a type that the host has and less than ", KEEL_MAX_DIMS,
                   " dimensions");
    }
    out.own.push_back({*dtype, {meta.dims, meta.dims + meta.ndim}});
  }
  return out;
}

// A keel_attention_call and what its pointers point to.
class CallView {
 public:
  absl::Status Set(const keel_attention_class& c, const AttentionCall& call) {
    const AttentionMetadata& m = *call.metadata;
    view_.struct_size = sizeof(view_);
    view_.desc = call.desc;
    KEEL_RETURN_IF_ERROR(AddRows(call.q, &view_.q));
    KEEL_RETURN_IF_ERROR(AddRows(call.k, &view_.k));
    KEEL_RETURN_IF_ERROR(AddRows(call.v, &view_.v));
    KEEL_RETURN_IF_ERROR(Add(call.k_cache, &view_.k_cache));
    KEEL_RETURN_IF_ERROR(Add(call.v_cache, &view_.v_cache));
    for (const at::Tensor& cache : call.own_caches)
      KEEL_RETURN_IF_ERROR(Add(cache, &caches_.emplace_back()));
    view_.caches = caches_.data();
    view_.num_caches = static_cast<uint32_t>(caches_.size());
    KEEL_RETURN_IF_ERROR(Add(m.block_table, &view_.block_table));
    KEEL_RETURN_IF_ERROR(Add(m.seq_lens, &view_.seq_lens));
    KEEL_RETURN_IF_ERROR(Add(m.cu_q, &view_.cu_q));
    KEEL_RETURN_IF_ERROR(Add(m.slots, &view_.slots));
    KEEL_RETURN_IF_ERROR(Add(m.positions, &view_.positions));
    if (call.out.defined()) {
      KEEL_RETURN_IF_ERROR(out_.Set(call.out));
      view_.out = out_.get();
    }
    view_.num_sequences = m.num_sequences();
    view_.num_tokens = call.q.size(0);
    view_.max_q = m.max_q;
    view_.max_kv = m.max_kv;
    view_.host_cu_q = m.cu_q.const_data_ptr<int32_t>();
    view_.host_seq_lens = m.seq_lens.const_data_ptr<int32_t>();
    view_.plan = call.plan.defined() ? call.plan.const_data_ptr() : nullptr;
    return AddArgs(c, call);
  }

  const keel_attention_call* get() const { return &view_; }

 private:
  absl::Status AddArgs(const keel_attention_class& c, const AttentionCall& call) {
    for (const NamedArg& arg : call.args) {
      if (!Takes(c, arg.name)) continue;  // it is optional
      names_.push_back(arg.name.c_str());
      numbers_.push_back(arg.number);
      const at::Tensor tensor = arg.tensor.defined() ? arg.tensor.contiguous() : at::Tensor();
      KEEL_RETURN_IF_ERROR(Add(tensor, &tensors_.emplace_back()));
    }
    view_.num_args = static_cast<uint32_t>(names_.size());
    view_.arg_names = names_.data();
    view_.arg_tensors = tensors_.data();
    view_.arg_numbers = numbers_.data();
    return absl::OkStatus();
  }

  // [N, heads, D], each head contiguous.
  absl::Status AddRows(const at::Tensor& rows, const keel_dl_tensor** out) {
    return Add(!rows.defined() || rows.stride(2) == 1 ? rows : rows.contiguous(), out);
  }

  // Nothing for an undefined one.
  absl::Status Add(const at::Tensor& tensor, const keel_dl_tensor** out) {
    *out = nullptr;
    if (!tensor.defined()) return absl::OkStatus();
    KEEL_RETURN_IF_ERROR(views_.emplace_back().Set(tensor));
    *out = views_.back().get();
    return absl::OkStatus();
  }

  keel_attention_call view_ = {};
  DlpackView out_;
  std::deque<DlpackView> views_;  // stable addresses
  std::vector<const keel_dl_tensor*> caches_, tensors_;
  std::vector<const char*> names_;
  std::vector<double> numbers_;
};

class PluginInstance : public AttentionInstance {
 public:
  PluginInstance(const keel_attention_class* c, PluginCall call, void* instance)
      : class_(c), call_(std::move(call)), instance_(instance) {}
  ~PluginInstance() override {
    Call("release", [&] {
      class_->release(instance_);
      return 0;
    }).IgnoreError();
  }

  absl::Status SetCache(const keel_attention_cache& cache) {
    KEEL_ASSIGN_OR_RETURN(cache_, ReadCache(*class_, cache));
    return absl::OkStatus();
  }
  AttentionCache cache() const override { return cache_; }

  absl::Status Write(const AttentionCall& call) override {
    return WithView(call, [&](const keel_attention_call* view) {
      const PluginContext context;
      return Call("write", [&] { return class_->write(instance_, context.get(), view); });
    });
  }

  absl::StatusOr<at::Tensor> Plan(const AttentionCall& call) override {
    at::Tensor plan;
    if (class_->plan == nullptr || class_->plan_bytes == nullptr) return plan;
    KEEL_RETURN_IF_ERROR(WithView(call, [&](const keel_attention_call* view) -> absl::Status {
      KEEL_ASSIGN_OR_RETURN(plan, PluginMemory(Bytes("plan_bytes", class_->plan_bytes, view)));
      if (!plan.defined()) return absl::OkStatus();
      return Call("plan", [&] { return class_->plan(instance_, view, plan.data_ptr()); });
    }));
    return plan;
  }

  absl::Status Run(const AttentionCall& call) override {
    return WithView(call, [&](const keel_attention_call* view) -> absl::Status {
      PluginContext context;
      if (class_->workspace != nullptr) {
        KEEL_RETURN_IF_ERROR(Annotate(context.Reserve(Bytes("workspace", class_->workspace, view)),
                                      absl::StrCat("attention ", class_->name, ".workspace")));
      }
      return Call("run", [&] { return class_->run(instance_, context.get(), view); });
    });
  }

 private:
  absl::Status Call(const char* function, absl::FunctionRef<keel_status()> call) const {
    return CallThrough(call_, absl::StrCat("attention ", class_->name, ".", function), call);
  }

  uint64_t Bytes(const char* function, uint64_t (*size)(void*, const keel_attention_call*),
                 const keel_attention_call* view) const {
    uint64_t bytes = 0;
    Call(function, [&] {
      bytes = size(instance_, view);
      return 0;
    }).IgnoreError();
    return bytes;
  }

  absl::Status WithView(const AttentionCall& call,
                        absl::FunctionRef<absl::Status(const keel_attention_call*)> f) const {
    if (call.metadata == nullptr)
      return absl::FailedPreconditionError("attention of a plugin outside of a step");
    return CatchAten([&]() -> absl::Status {
      CallView view;
      KEEL_RETURN_IF_ERROR(view.Set(*class_, call));
      return f(view.get());
    });
  }

  const keel_attention_class* class_;
  const PluginCall call_;
  void* const instance_;
  AttentionCache cache_;
};

}  // namespace

PluginAttention::PluginAttention(const keel_attention_class* attention, void* plugin,
                                 PluginCall call)
    : class_(attention), plugin_(plugin), call_(std::move(call)) {}

absl::Status PluginAttention::Supports(const AttentionUse& use) const {
  if (use.desc->kind == KEEL_ATTENTION_ENCODER) {
    return absl::UnimplementedError(
        absl::StrCat(class_->name,
                     ": a plugin's implementation serves no encoders; for the text alone name it "
                     "in --attention-implementation as text=",
                     class_->name));
  }
  if (const DType kept = use.kv_dtype.value_or(use.dtype); kept != use.dtype) {
    return absl::UnimplementedError(absl::StrCat(
        class_->name, ": a plugin's implementation reads keys and values in the model's type, ",
        TorchName(use.dtype), ", not in ", TorchName(kept),
        "; leave out --kv-cache-dtype, or choose --attention-implementation=paged"));
  }
  for (size_t i = 0; i < use.args.size(); ++i) {
    const std::string& name = use.args[i];
    if (Takes(*class_, name) || use.MayOmit(i)) continue;
    const std::string known = absl::StrJoin(ArgsOf(*class_), ", ");
    return absl::UnimplementedError(absl::StrCat(class_->name, ": no argument \"", name,
                                                 "\"; it takes ", known.empty() ? "none" : known));
  }
  return Prepare(use).status();
}

absl::StatusOr<std::unique_ptr<AttentionInstance>> PluginAttention::Prepare(
    const AttentionUse& use) const {
  std::vector<const char*> args;
  for (const std::string& name : use.args) {
    if (Takes(*class_, name)) args.push_back(name.c_str());
  }
  keel_attention_use abi = {};
  abi.struct_size = sizeof(abi);
  abi.dtype = static_cast<uint32_t>(use.dtype);
  abi.desc = use.desc;
  abi.device_type = kCpuDevice;
  abi.block_size = use.block_size;
  abi.arg_names = args.data();
  abi.num_args = static_cast<uint32_t>(args.size());
  keel_attention_cache cache = {};
  cache.struct_size = sizeof(cache);
  void* made = nullptr;
  KEEL_RETURN_IF_ERROR(CallThrough(call_, absl::StrCat("attention ", class_->name, ".prepare"),
                                   [&] { return class_->prepare(plugin_, &abi, &cache, &made); }));
  auto instance = std::make_unique<PluginInstance>(class_, call_, made);
  KEEL_RETURN_IF_ERROR(
      Annotate(instance->SetCache(cache), absl::StrCat("attention ", class_->name)));
  return instance;
}

}  // namespace keel
