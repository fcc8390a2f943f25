#include "tests/parity/model_under_test.h"

#include <ATen/ops/from_blob.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "core/base/file.h"
#include "core/base/status.h"
#include "core/graph/graph_file.h"
#include "core/tensor/aten.h"

namespace keel {
namespace {

constexpr absl::string_view kPrompt = "prompt_";

absl::StatusOr<std::vector<int32_t>> ReadIds(const SafetensorsFile& file, const std::string& name) {
  const TensorView* view = file.Find(name);
  if (view == nullptr || view->dtype != DType::kI64) {
    return absl::NotFoundError(absl::StrCat(file.path(), ": no int64 tensor ", name));
  }
  const auto* ids = reinterpret_cast<const int64_t*>(view->data);
  return std::vector<int32_t>(ids, ids + view->elements());
}

// Lives as long as the file.
absl::StatusOr<at::Tensor> ReadFloats(const SafetensorsFile& file, absl::string_view kind,
                                      int length) {
  const TensorView* view = file.Find(absl::StrCat(kind, length));
  if (view == nullptr)
    return absl::NotFoundError(absl::StrCat(file.path(), ": no tensor ", kind, length));
  return CatchAten([&] {
    return at::from_blob(const_cast<uint8_t*>(view->data), view->shape,
                         at::TensorOptions().dtype(at::kFloat));
  });
}

}  // namespace

absl::StatusOr<std::unique_ptr<ModelUnderTest>> ModelUnderTest::Open(const std::string& plugin,
                                                                     const std::string& dir) {
  auto model = std::make_unique<ModelUnderTest>();
  KEEL_ASSIGN_OR_RETURN(model->checkpoint_, Checkpoint::Open(dir));
  KEEL_ASSIGN_OR_RETURN(model->recording_, RecordPlugin(plugin, model->checkpoint_->config()));
  KEEL_RETURN_IF_ERROR(model->ReadGoldens(dir));
  return model;
}

absl::StatusOr<std::unique_ptr<ModelUnderTest>> ModelUnderTest::OpenGraph(const std::string& graph,
                                                                          const std::string& dir) {
  auto model = std::make_unique<ModelUnderTest>();
  KEEL_ASSIGN_OR_RETURN(model->checkpoint_, Checkpoint::Open(dir));
  KEEL_ASSIGN_OR_RETURN(const std::string bytes, ReadFile(graph));
  KEEL_ASSIGN_OR_RETURN(model->recording_.model.graph, ParseGraphFile(bytes));
  KEEL_RETURN_IF_ERROR(model->ReadGoldens(dir));
  return model;
}

absl::Status ModelUnderTest::ReadGoldens(const std::string& dir) {
  KEEL_ASSIGN_OR_RETURN(SafetensorsFile file, SafetensorsFile::Open(dir + "/goldens.safetensors"));
  golden_file_ = std::make_unique<SafetensorsFile>(std::move(file));
  std::vector<int> lengths;
  for (const TensorView& tensor : golden_file_->tensors()) {
    absl::string_view name = tensor.name;
    int length = 0;
    if (absl::ConsumePrefix(&name, kPrompt) && absl::SimpleAtoi(name, &length))
      lengths.push_back(length);
  }
  std::sort(lengths.begin(), lengths.end());
  for (const int length : lengths) {
    Golden golden;
    KEEL_ASSIGN_OR_RETURN(golden.prompt, ReadIds(*golden_file_, absl::StrCat(kPrompt, length)));
    if (golden_file_->Find(absl::StrCat("vectors_", length)) != nullptr) {
      KEEL_ASSIGN_OR_RETURN(golden.types, ReadIds(*golden_file_, absl::StrCat("types_", length)));
      KEEL_ASSIGN_OR_RETURN(golden.vectors, ReadFloats(*golden_file_, "vectors_", length));
      if (const std::string pooled = absl::StrCat("pooled_", length);
          golden_file_->Find(pooled) != nullptr) {
        KEEL_ASSIGN_OR_RETURN(const std::vector<int32_t> rows, ReadIds(*golden_file_, pooled));
        golden.pooled = {rows.at(0), rows.at(1)};
      }
    } else {
      KEEL_ASSIGN_OR_RETURN(golden.greedy, ReadIds(*golden_file_, absl::StrCat("greedy_", length)));
      KEEL_ASSIGN_OR_RETURN(golden.logits, ReadFloats(*golden_file_, "logits_", length));
    }
    goldens_.push_back(std::move(golden));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<Executor>> ModelUnderTest::NewExecutor(ExecutorOptions options,
                                                                      int32_t num_blocks,
                                                                      int32_t num_state_slots) {
  options.live = {recording_.model.model_class, recording_.model.model.get()};
  options.kernels = recording_.kernels;
  options.pooling = gives_vectors();
  KEEL_ASSIGN_OR_RETURN(std::unique_ptr<Executor> executor,
                        Executor::Create(graph(), checkpoint_, attention_, options));
  const std::vector<int32_t> of_groups(executor->cache_layout().groups.size(), num_blocks);
  KEEL_RETURN_IF_ERROR(executor->AllocateCache(of_groups, num_state_slots));
  return executor;
}

}  // namespace keel
