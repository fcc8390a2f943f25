#include "core/conformance/random_model.h"

#include <stdlib.h>

#include <filesystem>
#include <system_error>
#include <utility>

#include "core/base/status.h"
#include "core/weights/random_checkpoint.h"

namespace keel::conformance {
namespace {

constexpr int64_t kMaxWeights = int64_t{64} << 20;

// At least so many weights, as far as their number is known without making them.
int64_t CountWeights(const proto::Graph& graph) {
  double count = 2.0 * static_cast<double>(graph.spec().vocab_size()) *
                 static_cast<double>(graph.spec().hidden_size());
  for (const proto::Declaration& d : graph.declarations()) {
    count += static_cast<double>(d.linear().in()) * static_cast<double>(d.linear().out());
    count += static_cast<double>(d.embedding().rows()) * static_cast<double>(d.embedding().size());
    count += 3.0 * static_cast<double>(d.moe().experts()) *
             static_cast<double>(d.moe().hidden_size()) *
             static_cast<double>(d.moe().intermediate_size());
  }
  return count > 1e18 ? INT64_MAX : static_cast<int64_t>(count);
}

}  // namespace

absl::StatusOr<std::unique_ptr<RandomModel>> RandomModel::Create(const proto::Graph& graph,
                                                                 uint64_t seed) {
  if (CountWeights(graph) > kMaxWeights) {
    return absl::FailedPreconditionError(
        "too large to be computed here; give a config of tiny sizes");
  }
  std::string dir = (std::filesystem::temp_directory_path() / "keel-validate-XXXXXX").string();
  if (mkdtemp(dir.data()) == nullptr)
    return absl::InternalError("no temporary directory can be made");
  auto model = std::unique_ptr<RandomModel>(new RandomModel(dir, graph));
  KEEL_ASSIGN_OR_RETURN(model->checkpoint_,
                        WriteCheckpoint(dir, RandomTensors(model->graph_, static_cast<int>(seed))));
  return model;
}

RandomModel::RandomModel(std::string dir, proto::Graph graph)
    : dir_(std::move(dir)), graph_(std::move(graph)) {
  graph_.mutable_spec()->clear_renames();
}

RandomModel::~RandomModel() {
  std::error_code ignored;
  std::filesystem::remove_all(dir_, ignored);
}

}  // namespace keel::conformance
