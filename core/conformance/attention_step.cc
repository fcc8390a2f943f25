#include "core/conformance/attention_step.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <random>
#include <utility>

#include "absl/functional/function_ref.h"
#include "absl/strings/str_cat.h"
#include "core/base/status.h"
#include "core/base/visible_keys.h"

namespace keel::conformance {
namespace {

constexpr int32_t kCpu = 1;          // DLPack's
constexpr int64_t kSpareBlocks = 3;  // that no sequence has
constexpr uint8_t kNanBytes = 0xff;  // a NaN of each floating-point type

keel_attention_desc DescOf(const AttentionLayer& l) {
  keel_attention_desc desc = {};
  desc.struct_size = sizeof(desc);
  desc.kind = KEEL_ATTENTION_CAUSAL;
  desc.heads = l.heads, desc.kv_heads = l.kv_heads;
  desc.qk_dim = l.qk_dim, desc.v_dim = l.v_dim;
  desc.window = l.window, desc.chunk = l.chunk, desc.softcap = l.softcap;
  desc.scale = 1 / std::sqrt(static_cast<double>(l.qk_dim));
  desc.impl = "";
  return desc;
}

// An instance with what it was made of.
class Instance {
 public:
  Instance(const AttentionSubject& subject, const AttentionLayer& layer)
      : subject_(subject), desc_(DescOf(layer)) {
    if (layer.alibi) names_.push_back("alibi_slopes");
    if (layer.sinks) names_.push_back("sinks");
    keel_attention_use use = {};
    use.struct_size = sizeof(use);
    use.dtype = layer.dtype;
    use.desc = &desc_;
    use.device_type = kCpu;
    use.block_size = layer.block_size;
    use.arg_names = names_.data();
    use.num_args = static_cast<uint32_t>(names_.size());
    cache_.struct_size = sizeof(cache_);
    for (const char* name : names_) {
      if (!Takes(name)) status_ = absl::UnimplementedError(absl::StrCat("no argument ", name));
    }
    if (!status_.ok()) return;
    status_ = Call("prepare", [&] {
      return subject_.attention->prepare(subject_.plugin, &use, &cache_, &self_);
    });
  }
  ~Instance() {
    if (status_.ok()) subject_.attention->release(self_);
  }
  Instance(const Instance&) = delete;
  Instance& operator=(const Instance&) = delete;

  const absl::Status& status() const { return status_; }
  const keel_attention_desc& desc() const { return desc_; }
  const keel_attention_cache& cache() const { return cache_; }
  const std::vector<const char*>& arg_names() const { return names_; }
  void* self() const { return self_; }
  const keel_attention_class& functions() const { return *subject_.attention; }
  absl::Status Call(const char* what, absl::FunctionRef<keel_status()> call) const {
    return CallThrough(subject_.call, absl::StrCat(subject_.attention->name, ".", what), call);
  }

 private:
  bool Takes(absl::string_view arg) const {
    const char* const* name = subject_.attention->args;
    for (; name != nullptr && *name != nullptr; ++name) {
      if (arg == *name) return true;
    }
    return false;
  }

  const AttentionSubject subject_;
  const keel_attention_desc desc_;
  std::vector<const char*> names_;
  keel_attention_cache cache_ = {};
  void* self_ = nullptr;
  absl::Status status_;
};

// The blocks of a cache, and of each sequence those that it has.
struct Blocks {
  TestTensor k, v;  // rows; v may be a part of k
  std::vector<TestTensor> own;
  std::vector<std::vector<int32_t>> of_sequence;
  int64_t count = 0;
};

class StepRunner {
 public:
  StepRunner(const Instance& instance, const AttentionData& data, const AttentionRun& how)
      : instance_(instance), data_(data), how_(how) {
    MakeBlocks();
  }

  absl::StatusOr<AttentionResult> Run() {
    std::vector<Part> before, now;
    for (size_t i = 0; i < data_.sequences.size(); ++i) {
      const auto& [keys, queries] = data_.sequences[i];
      if (keys > queries) before.push_back({i, keys - queries, keys - queries});
      now.push_back({i, keys, queries});
    }
    if (!before.empty()) KEEL_RETURN_IF_ERROR(Step(before, FirstQueries()).status());
    absl::StatusOr<TestTensor> out = Step(now, data_.queries);
    if (!out.ok()) return out.status();
    return AttentionResult{*out, instance_.cache().layout == KEEL_KV_ROWS, broken_};
  }

 private:
  // What a step has of a sequence.
  struct Part {
    size_t sequence;
    int64_t keys, queries;
  };

  bool has_rows() const { return instance_.cache().layout != KEEL_KV_OWN; }

  void MakeBlocks() {
    const AttentionLayer& l = data_.layer;
    for (const AttentionSequence& s : data_.sequences) {
      std::vector<int32_t>& blocks = blocks_.of_sequence.emplace_back();
      for (int64_t i = 0; i * l.block_size < s.keys; ++i)
        blocks.push_back(static_cast<int32_t>(blocks_.count++));
    }
    blocks_.count += kSpareBlocks;
    if (how_.scrambled) {
      std::vector<int32_t> order(blocks_.count);
      std::iota(order.begin(), order.end(), 0);
      std::shuffle(order.begin(), order.end(), std::mt19937_64(7));
      for (std::vector<int32_t>& blocks : blocks_.of_sequence) {
        for (int32_t& block : blocks) block = order[block];
      }
    }
    const uint8_t unused = how_.scrambled ? kNanBytes : 0;
    const auto make = [&](uint32_t dtype, std::vector<int64_t> shape) {
      TestTensor cache(dtype, std::move(shape));
      cache.FillBytes(unused);
      return cache;
    };
    if (has_rows()) {
      blocks_.k = make(l.dtype, {blocks_.count, l.kv_heads, l.block_size, l.qk_dim});
      blocks_.v = l.latent ? blocks_.k.FirstOfRows(l.v_dim)
                           : make(l.dtype, {blocks_.count, l.kv_heads, l.block_size, l.v_dim});
    }
    for (uint32_t i = 0; i < instance_.cache().num_tensors; ++i) {
      const keel_meta& meta = instance_.cache().tensors[i];
      std::vector<int64_t> shape = {blocks_.count};
      shape.insert(shape.end(), meta.dims, meta.dims + meta.ndim);
      blocks_.own.push_back(make(meta.dtype, shape));
    }
  }

  // The queries of a step, or of keys and values those that are new in it, packed.
  TestTensor Pack(const std::vector<TestTensor>& from, const std::vector<Part>& step,
                  bool new_ones) const {
    int64_t tokens = 0;
    for (const Part& part : step) tokens += part.queries;
    const std::vector<int64_t>& like = from[0].shape();
    TestTensor out(data_.layer.dtype, {tokens, like[1], like[2]}, how_.placement);
    const int64_t size = like[1] * like[2];
    int64_t to = 0;
    for (const Part& part : step) {
      const int64_t first = new_ones ? (part.keys - part.queries) * size : 0;
      for (int64_t i = 0; i < part.queries * size; ++i)
        out.Set(to++, from[part.sequence].At(first + i));
    }
    if (how_.placement.border == Border::kTight) out.MakeReadOnly();
    return out;
  }

  // [S, max_blocks]; where the step may see no key of a sequence, a block that is not its own.
  TestTensor Table(const std::vector<Part>& step) const {
    const AttentionLayer& l = data_.layer;
    size_t most = 0;
    for (const auto& blocks : blocks_.of_sequence) most = std::max(most, blocks.size());
    const auto width = static_cast<int64_t>(most) + (how_.scrambled ? 1 : 0);
    TestTensor table(KEEL_I32, {static_cast<int64_t>(step.size()), width});
    for (size_t s = 0; s < step.size(); ++s) {
      const int64_t computed = step[s].keys - step[s].queries;
      const int64_t first = how_.scrambled ? FirstVisibleKey(computed, l.window, l.chunk) : 0;
      for (int64_t b = 0; b < width; ++b) {
        const bool is_seen = b >= first / l.block_size && b * l.block_size < step[s].keys;
        const size_t sequence = step[s].sequence;
        const int64_t other = how_.scrambled ? OtherBlock(sequence) : 0;
        table.Set(static_cast<int64_t>(s) * width + b,
                  static_cast<double>(is_seen ? blocks_.of_sequence[sequence][b] : other));
      }
    }
    return table;
  }

  // A block that holds nothing of sequence `s`.
  int64_t OtherBlock(size_t s) const {
    const std::vector<int32_t>& mine = blocks_.of_sequence[s];
    int64_t block = 0;
    while (std::find(mine.begin(), mine.end(), block) != mine.end()) ++block;
    return block;
  }

  void WriteRows(const TestTensor& k, const TestTensor& v, const TestTensor& slots) {
    const AttentionLayer& l = data_.layer;
    for (int64_t t = 0; t < slots.elements(); ++t) {
      const auto slot = static_cast<int64_t>(slots.At(t));
      for (int64_t h = 0; h < l.kv_heads; ++h) {
        const int64_t row =
            (slot / l.block_size * l.kv_heads + h) * l.block_size + slot % l.block_size;
        for (int64_t i = 0; i < l.qk_dim; ++i)
          blocks_.k.Set(row * l.qk_dim + i, k.At((t * l.kv_heads + h) * l.qk_dim + i));
        for (int64_t i = 0; i < l.v_dim && !l.latent; ++i)
          blocks_.v.Set(row * l.v_dim + i, v.At((t * l.kv_heads + h) * l.v_dim + i));
      }
    }
  }

  absl::StatusOr<TestTensor> Step(const std::vector<Part>& step,
                                  const std::vector<TestTensor>& queries) {
    const AttentionLayer& l = data_.layer;
    int64_t tokens = 0, most_keys = 0, most_queries = 0;
    std::vector<int32_t> cu_q = {0}, lens;
    for (const Part& part : step) {
      tokens += part.queries;
      most_keys = std::max(most_keys, part.keys);
      most_queries = std::max(most_queries, part.queries);
      cu_q.push_back(static_cast<int32_t>(tokens));
      lens.push_back(static_cast<int32_t>(part.keys));
    }
    const TestTensor q = Pack(queries, step, false);
    const TestTensor k = Pack(data_.keys, step, true), v = Pack(data_.values, step, true);
    TestTensor table = Table(step), seq_lens(KEEL_I32, {static_cast<int64_t>(step.size())});
    TestTensor borders(KEEL_I32, {static_cast<int64_t>(cu_q.size())}), slots(KEEL_I64, {tokens});
    TestTensor positions(KEEL_I64, {tokens});
    for (size_t i = 0; i < lens.size(); ++i) seq_lens.Set(static_cast<int64_t>(i), lens[i]);
    for (size_t i = 0; i < cu_q.size(); ++i) borders.Set(static_cast<int64_t>(i), cu_q[i]);
    int64_t token = 0;
    for (const Part& part : step) {
      for (int64_t p = part.keys - part.queries; p < part.keys; ++p, ++token) {
        const int64_t block = blocks_.of_sequence[part.sequence][p / l.block_size];
        positions.Set(token, static_cast<double>(p));
        slots.Set(token, static_cast<double>(block * l.block_size + p % l.block_size));
      }
    }
    if (has_rows()) WriteRows(k, v, slots);
    TestTensor out(l.dtype, {tokens, l.heads, l.v_dim}, {.border = how_.placement.border});
    out.FillBytes(kNanBytes);

    keel_attention_call call = {};
    call.struct_size = sizeof(call);
    call.desc = &instance_.desc();
    call.q = q.get(), call.k = k.get(), call.v = v.get();
    if (has_rows()) call.k_cache = blocks_.k.get(), call.v_cache = blocks_.v.get();
    std::vector<const keel_dl_tensor*> caches;
    for (const TestTensor& own : blocks_.own) caches.push_back(own.get());
    call.caches = caches.data(), call.num_caches = static_cast<uint32_t>(caches.size());
    call.block_table = table.get(), call.seq_lens = seq_lens.get(), call.cu_q = borders.get();
    call.slots = slots.get(), call.positions = positions.get();
    call.num_sequences = static_cast<int64_t>(step.size()), call.num_tokens = tokens;
    call.max_q = most_queries, call.max_kv = most_keys;
    call.host_cu_q = cu_q.data(), call.host_seq_lens = lens.data();
    std::vector<const keel_dl_tensor*> args;
    if (l.alibi) args.push_back(data_.slopes.get());
    if (l.sinks) args.push_back(data_.sinks.get());
    const std::vector<double> numbers(args.size());
    call.num_args = static_cast<uint32_t>(args.size());
    call.arg_names = instance_.arg_names().data();
    call.arg_tensors = args.data(), call.arg_numbers = numbers.data();
    KEEL_RETURN_IF_ERROR(Call(call, out));
    for (const TestTensor* given : {&table, &seq_lens, &borders, &slots, &positions}) {
      if (!given->IsIntact()) broken_ = "writes beside the tables of the step";
    }
    return out;
  }

  // plan, write and run.
  absl::Status Call(keel_attention_call& call, TestTensor& out) {
    const keel_attention_class& c = instance_.functions();
    void* self = instance_.self();
    std::unique_ptr<WatchedMemory> plan;
    if (c.plan != nullptr && c.plan_bytes != nullptr) {
      constexpr size_t kAlignment = 64;
      plan = std::make_unique<WatchedMemory>(c.plan_bytes(self, &call), kAlignment,
                                             how_.placement.border);
      KEEL_RETURN_IF_ERROR(
          instance_.Call("plan", [&] { return c.plan(self, &call, plan->data()); }));
      call.plan = plan->size() == 0 ? nullptr : plan->data();
    }
    TestContext context(how_.pieces);
    if (call.num_caches > 0) {
      KEEL_RETURN_IF_ERROR(
          instance_.Call("write", [&] { return c.write(self, context.With(), &call); }));
    }
    call.out = out.get();
    context.Reserve(c.workspace == nullptr ? 0 : c.workspace(self, &call), how_.placement.border);
    KEEL_RETURN_IF_ERROR(instance_.Call("run", [&] { return c.run(self, context.With(), &call); }));
    if (!context.WorkspaceIsIntact()) broken_ = "writes beside its workspace";
    if (plan != nullptr && !plan->IsIntact()) broken_ = "writes beside its plan";
    if (!out.IsIntact()) broken_ = "writes before its result";
    return absl::OkStatus();
  }

  // For what came before; nobody looks at their results.
  std::vector<TestTensor> FirstQueries() const {
    const AttentionLayer& l = data_.layer;
    std::vector<TestTensor> out;
    for (const AttentionSequence& s : data_.sequences)
      out.emplace_back(l.dtype, std::vector<int64_t>{s.keys, l.heads, l.qk_dim});
    return out;
  }

  const Instance& instance_;
  const AttentionData& data_;
  const AttentionRun& how_;
  Blocks blocks_;
  std::string broken_;
};

bool CanBeKept(const keel_attention_cache& cache) {
  if (cache.layout > KEEL_KV_BOTH || cache.num_tensors > KEEL_MAX_CACHE_TENSORS) return false;
  for (uint32_t i = 0; i < cache.num_tensors; ++i) {
    const keel_meta& meta = cache.tensors[i];
    if (meta.ndim >= KEEL_MAX_DIMS || BytesOf(meta.dtype) == 0) return false;
  }
  return true;
}

}  // namespace

absl::Status Ask(const AttentionSubject& subject, const AttentionLayer& layer) {
  return Instance(subject, layer).status();
}

absl::StatusOr<AttentionResult> RunAttention(const AttentionSubject& subject,
                                             const AttentionData& data, const AttentionRun& how) {
  const Instance instance(subject, data.layer);
  KEEL_RETURN_IF_ERROR(instance.status());
  if (!CanBeKept(instance.cache()))
    return absl::FailedPreconditionError("prepare: asks for a cache that no host could keep");
  return StepRunner(instance, data, how).Run();
}

}  // namespace keel::conformance
