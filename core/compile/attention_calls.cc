#include "core/compile/attention_calls.h"

#include <optional>
#include <utility>
#include <vector>

#include "core/compile/rope_operand.h"
#include "core/graph/op_attributes.h"
#include "core/kernels/attention_groups.h"
#include "core/kernels/kernel_type.h"
#include "core/kernels/paged_attention.h"
#include "core/kernels/row_ops.h"
#include "core/tensor/aten.h"

namespace keel {
namespace {

// [N, heads, size] with elements of a head side by side.
struct HeadsOperand {
  Place place;
  StepSize tokens;
  int64_t row_stride = 0, head_stride = 0;
};

bool LiesInHeads(const ir::Value& x) {
  return x.type.rank() == 3 && x.layout.strides[2].is(1) && !x.layout.strides[0].symbolic() &&
         !x.layout.strides[1].symbolic();
}

HeadsOperand HeadsOf(ir::ValueId id, const Operands& operands) {
  const ir::Value& x = operands.value(id);
  return {operands.place(id), Operands::size(x.type.dims[0]), x.layout.strides[0].size,
          x.layout.strides[1].size};
}

// Keys, rotated or not, and values into the cache, and queries rotated beside them.
class WriteKvCall : public Call {
 public:
  struct Rotation {
    RopeOperand table;
    RopeRows queries;
    HeadsOperand q;
    Place y;
  };
  WriteKvCall(OpRunner& ops, int32_t layer, KvRows rows, HeadsOperand k, HeadsOperand v,
              std::optional<Rotation> rotation)
      : ops_(ops), layer_(layer), rows_(rows), k_(k), v_(v), rotation_(std::move(rotation)) {}

  absl::Status Run(const Frame& frame) override {
    KvCache& cache = ops_.cache();
    const AttentionMetadata& metadata = frame.step->metadata[cache.group(layer_)];
    rows_.rows = frame(k_.tokens);
    rows_.k = frame(k_.place);
    rows_.v = frame(v_.place);
    rows_.slots = metadata.slots.const_data_ptr<int64_t>();
    cache.SetIn(layer_, rows_);
    if (rotation_.has_value()) return RunWithRotation(frame);
    frame.Kernel([&] { RunWriteKv(rows_); });
    return absl::OkStatus();
  }

 private:
  absl::Status RunWithRotation(const Frame& frame) {
    return CatchAten([&] {
      const CosSin table = rotation_->table.Table(frame);
      RopeRows& queries = rotation_->queries;
      queries.cos = rows_.cos = table.cos.const_data_ptr();
      queries.sin = rows_.sin = table.sin.const_data_ptr();
      queries.rows = rows_.rows;
      queries.x = frame(rotation_->q.place);
      queries.y = frame(rotation_->y);
      frame.Kernel([&] { RunRopeAndWriteKv(queries, rows_); });
      return absl::OkStatus();
    });
  }

  OpRunner& ops_;
  const int32_t layer_;
  KvRows rows_;
  const HeadsOperand k_, v_;
  std::optional<Rotation> rotation_;
};

class AttendCall : public Call {
 public:
  AttendCall(OpRunner& ops, uint32_t object, PagedAttention params, HeadsOperand q, Place out,
             std::vector<NamedArg> args, std::optional<Place> groups)
      : ops_(ops),
        layer_(ops.attention().paged(object)->layer),
        params_(params),
        q_(q),
        out_(out),
        args_(std::move(args)),
        groups_(groups) {}

  absl::Status Run(const Frame& frame) override {
    KvCache& cache = ops_.cache();
    const AttentionMetadata& m = frame.step->metadata[cache.group(layer_)];
    params_.q = frame(q_.place);
    params_.out = frame(out_);
    params_.k_cache = cache.keys(layer_).const_data_ptr();
    params_.v_cache = cache.values(layer_).const_data_ptr();
    if (HasScales(params_.kv_type)) {
      params_.k_scales = cache.key_scales(layer_).const_data_ptr<float>();
      params_.v_scales = cache.value_scales(layer_).const_data_ptr<float>();
    }
    params_.block_table = m.block_table.const_data_ptr<int32_t>();
    params_.max_blocks = m.block_table.size(1);
    params_.seq_lens = m.seq_lens.const_data_ptr<int32_t>();
    params_.cu_q = m.cu_q.const_data_ptr<int32_t>();
    params_.num_sequences = m.num_sequences();
    params_.group_rows = nullptr;
    if (groups_.has_value() && FindGroupRows(reinterpret_cast<const int32_t*>(frame(*groups_)),
                                             params_.cu_q, params_.num_sequences, &group_rows_))
      params_.group_rows = group_rows_.data();
    frame.Kernel([&] { RunPagedAttention(params_); });
    return absl::OkStatus();
  }

 private:
  OpRunner& ops_;
  const int32_t layer_;
  PagedAttention params_;
  const HeadsOperand q_;
  const Place out_;
  const std::vector<NamedArg> args_;  // f32, one entry a head; kept for `params_`
  const std::optional<Place> groups_;
  std::vector<int32_t> group_rows_;
};

CallPtr MakeWriteKv(const ir::Op& op, const Operands& operands, OpRunner& ops) {
  const bool rotates = op.code == ir::Code::kRopeWrite;
  const ir::ValueId k_id = op.inputs[rotates ? 1 : 0], v_id = op.inputs[rotates ? 2 : 1];
  const HeadsOperand keys = HeadsOf(k_id, operands), values = HeadsOf(v_id, operands);
  KvRows rows;
  rows.type = *operands.kernel_type(k_id);
  rows.k_row_stride = keys.row_stride;
  rows.k_head_stride = keys.head_stride;
  rows.v_row_stride = values.row_stride;
  rows.v_head_stride = values.head_stride;
  std::optional<WriteKvCall::Rotation> rotation;
  if (rotates) {
    const ir::Value& q = operands.value(op.inputs[0]);
    std::optional<RopeOperand> table =
        RopeOperand::Of(op.objects[0], op.inputs[3], q, operands, ops);
    if (!table.has_value()) return nullptr;
    rotation.emplace(WriteKvCall::Rotation{
        *std::move(table), {}, HeadsOf(op.inputs[0], operands), operands.place(op.outputs[0])});
    RopeRows& queries = rotation->queries;
    queries.type = rows.type;
    queries.row_stride = rotation->q.row_stride;
    queries.head_stride = rotation->q.head_stride;
    queries.heads = q.type.dims[1].size;
    queries.size = q.type.dims[2].size;
    queries.half = rows.half = rotation->table.half();
  }
  const int32_t layer = ops.attention().paged(op.node.object())->layer;
  return std::make_unique<WriteKvCall>(ops, layer, rows, keys, values, std::move(rotation));
}

constexpr char kGroups[] = "groups";

// The value of the node's i-th named argument: operands but the queries are gone.
ir::ValueId ArgOf(const ir::Op& op, const op::Arguments& given, int i) {
  return op.inputs[*given.operand(i) - op::FixedOperands(proto::OP_ATTENTION) + 1];
}

// Tensors of those that are constants.
std::vector<NamedArg> ArgsOf(const ir::Op& op, const Operands& operands) {
  std::vector<NamedArg> args;
  const op::Arguments given(op.node);
  for (int i = 0; i < given.size(); ++i) {
    if (given.name(i) == kGroups) continue;
    at::Tensor value = operands.tensor(ArgOf(op, given, i)).In(Frame());
    args.push_back({given.name(i), value.to(at::kFloat).contiguous(), 0});
  }
  return args;
}

CallPtr MakeAttend(const ir::Op& op, const Operands& operands, OpRunner& ops) {
  const keel_attention_desc& d = *ops.attention().paged(op.node.object())->desc;
  const HeadsOperand q = HeadsOf(op.inputs[0], operands);
  std::vector<NamedArg> args = ArgsOf(op, operands);
  const auto heads = [&](const char* name) -> const float* {
    const NamedArg* arg = FindArg(args, name);
    return arg == nullptr ? nullptr : arg->tensor.const_data_ptr<float>();
  };
  PagedAttention params;
  params.type = *operands.kernel_type(op.inputs[0]);
  params.kv_type = ops.cache().type();
  params.q_token_stride = q.row_stride;
  params.q_head_stride = q.head_stride;
  params.v_row_stride = d.v_dim;
  params.heads = d.heads;
  params.kv_heads = d.kv_heads;
  params.qk_dim = d.qk_dim;
  params.v_dim = d.v_dim;
  params.block_size = ops.cache().block_size();
  params.scale = static_cast<float>(d.scale);
  params.softcap = static_cast<float>(d.softcap);
  params.window = d.window;
  params.chunk = d.chunk;
  params.slopes = heads("alibi_slopes");
  params.sinks = heads("sinks");
  std::optional<Place> groups;
  const op::Arguments given(op.node);
  if (const int i = given.Find(kGroups); i >= 0) groups = operands.place(ArgOf(op, given, i));
  return std::make_unique<AttendCall>(ops, op.node.object(), params, q,
                                      operands.place(op.outputs[0]), std::move(args), groups);
}

}  // namespace

bool CanWriteKv(const ir::Value& k, const ir::Value& v, uint32_t object, OpRunner& ops) {
  const auto paged = ops.attention().paged(object);
  return paged.has_value() && paged->writes && k.dtype() == ops.dtype() &&
         v.dtype() == ops.dtype() && LiesInHeads(k) && LiesInHeads(v);
}

bool CanAttend(const ir::Function& function, const ir::Op& attention, OpRunner& ops) {
  const ir::Value& q = function.values[attention.inputs[0]];
  const auto paged = ops.attention().paged(attention.node.object());
  if (!paged.has_value() || !LiesInHeads(q) || q.dtype() != ops.dtype()) return false;
  const op::Arguments args(attention.node);
  for (int i = 0; i < args.size(); ++i) {
    if (!args.operand(i).has_value()) return false;
    const ir::Value& value = function.values[attention.inputs[*args.operand(i)]];
    if (args.name(i) == kGroups && value.dtype() == DType::kI32 && ir::IsContiguous(value))
      continue;
    if (args.name(i) != "alibi_slopes" && args.name(i) != "sinks") return false;
    if (value.kind != ir::Value::Kind::kConstant ||
        ir::NumElements(value.type.dims) != Extent{paged->desc->heads, "", 1}) {
      return false;
    }
  }
  return true;
}

CallPtr MakeAttentionCall(const ir::Op& op, const Operands& operands, OpRunner& ops) {
  return op.code == ir::Code::kAttend ? MakeAttend(op, operands, ops)
                                      : MakeWriteKv(op, operands, ops);
}

}  // namespace keel
