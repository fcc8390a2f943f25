#include "core/attention/plugin_attention.h"

#include <ATen/ops/empty.h>

#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/attention/dense.h"
#include "core/base/status.h"
#include "core/kernels/parallel.h"
#include "core/tensor/aten.h"
#include "core/tensor/dlpack.h"

namespace keel {
namespace {

constexpr int32_t kCpu = 1;  // DLPack's
constexpr uint64_t kMaxWorkspaceBytes = uint64_t{1} << 34;

void PoolParallelFor(void* /*pool*/, int64_t n, int64_t grain,
                     void (*fn)(void* arg, int64_t begin, int64_t end), void* arg) {
  ParallelFor(n, grain < 1 ? 1 : grain, [&](int64_t begin, int64_t end) { fn(arg, begin, end); });
}

// A keel_attention_call and what its pointers point to.
class CallView {
 public:
  absl::Status Set(const AttentionCall& call) {
    view_.struct_size = sizeof(view_);
    view_.num_args = static_cast<uint32_t>(call.args.size());
    view_.desc = call.desc;
    KEEL_RETURN_IF_ERROR(Add(call.q, &view_.q));
    if (call.k.defined()) KEEL_RETURN_IF_ERROR(Add(call.k, &view_.k));
    if (call.v.defined()) KEEL_RETURN_IF_ERROR(Add(call.v, &view_.v));
    KEEL_RETURN_IF_ERROR(Add(call.k_cache, &view_.k_cache));
    KEEL_RETURN_IF_ERROR(Add(call.v_cache, &view_.v_cache));
    KEEL_RETURN_IF_ERROR(Add(call.metadata->block_table, &view_.block_table));
    KEEL_RETURN_IF_ERROR(Add(call.metadata->seq_lens, &view_.seq_lens));
    KEEL_RETURN_IF_ERROR(Add(call.metadata->cu_q, &view_.cu_q));
    KEEL_RETURN_IF_ERROR(out_.Set(call.out));
    view_.out = out_.get();
    view_.max_q = call.metadata->max_q;
    view_.max_kv = call.metadata->max_kv;
    for (const NamedArg& arg : call.args) {
      names_.push_back(arg.name.c_str());
      numbers_.push_back(arg.number);
      tensors_.push_back(nullptr);
      if (arg.tensor.defined()) KEEL_RETURN_IF_ERROR(Add(arg.tensor, &tensors_.back()));
    }
    view_.arg_names = names_.data();
    view_.arg_tensors = tensors_.data();
    view_.arg_numbers = numbers_.data();
    return absl::OkStatus();
  }

  const keel_attention_call* get() const { return &view_; }

 private:
  absl::Status Add(const at::Tensor& tensor, const DLTensor** out) {
    views_.push_back(std::make_unique<DlpackView>());
    KEEL_RETURN_IF_ERROR(views_.back()->Set(tensor));
    *out = views_.back()->get();
    return absl::OkStatus();
  }

  keel_attention_call view_ = {};
  DlpackView out_;
  std::vector<std::unique_ptr<DlpackView>> views_;
  std::vector<const char*> names_;
  std::vector<const DLTensor*> tensors_;
  std::vector<double> numbers_;
};

}  // namespace

PluginAttention::PluginAttention(const keel_attention_class* attention, void* plugin,
                                 PluginCall call)
    : class_(attention), plugin_(plugin), call_(std::move(call)) {}

absl::Status PluginAttention::Call(const char* function,
                                   absl::FunctionRef<keel_status()> call) const {
  return CallThrough(call_, absl::StrCat("attention ", class_->name, ".", function), call);
}

absl::Status PluginAttention::Supports(const AttentionUse& use) const {
  if (use.desc->kind == KEEL_ATTENTION_ENCODER) {
    return absl::UnimplementedError(
        absl::StrCat(class_->name, ": a plugin's implementation serves no encoders"));
  }
  std::vector<const char*> args;
  for (const std::string& name : use.args) args.push_back(name.c_str());
  uint32_t layout = KEEL_KV_ROWS;
  KEEL_RETURN_IF_ERROR(Call("supports", [&] {
    return class_->supports(plugin_, use.desc, kCpu, static_cast<uint32_t>(use.dtype),
                            use.block_size, args.data(), static_cast<uint32_t>(args.size()),
                            &layout);
  }));
  if (layout != KEEL_KV_ROWS) {
    return absl::UnimplementedError(absl::StrCat(class_->name, ": asks for KV layout ", layout,
                                                 ", the host has rows (", KEEL_KV_ROWS, ") only"));
  }
  return absl::OkStatus();
}

absl::Status PluginAttention::Run(const AttentionCall& call) const {
  return CatchAten([&]() -> absl::Status {
    CheckCall(call);
    CallView view;
    KEEL_RETURN_IF_ERROR(view.Set(call));
    keel_kernel_context context = {};
    context.struct_size = sizeof(context);
    context.device_type = kCpu;
    context.parallel_for = PoolParallelFor;
    if (KEEL_HAS(class_, keel_attention_class, workspace)) {
      KEEL_RETURN_IF_ERROR(Call("workspace", [&] {
        context.workspace_bytes = class_->workspace(plugin_, view.get());
        return 0;
      }));
    }
    if (context.workspace_bytes > kMaxWorkspaceBytes) {
      return absl::ResourceExhaustedError(absl::StrCat(class_->name, ": asks for a workspace of ",
                                                       context.workspace_bytes, " bytes"));
    }
    at::Tensor workspace;  // ATen aligns to 64 bytes
    if (context.workspace_bytes > 0) {
      workspace = at::empty({static_cast<int64_t>(context.workspace_bytes)}, at::kByte);
      context.workspace = workspace.data_ptr();
    }
    return Call("run", [&] { return class_->run(plugin_, &context, view.get()); });
  });
}

}  // namespace keel
