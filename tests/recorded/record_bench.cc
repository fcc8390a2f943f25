// What recording costs. Arguments: Llama's plugin and a directory with a config.json of its. Prints
// the time of each step for the config as it is and with the sizes of Llama 3 8B and 70B, the time an
// op takes while it is recorded, and what the same takes in a jail. The best of a few rounds.
#include <algorithm>
#include <boost/json/serialize.hpp>
#include <cstdio>
#include <functional>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "core/base/file.h"
#include "core/base/json.h"
#include "core/config/config_view.h"
#include "core/graph/record_model.h"
#include "core/graph/verifier.h"
#include "core/plugin/discovery.h"
#include "core/plugin/trust.h"
#include "core/remote/jailed_plugin.h"
#include "tests/recorded/recording.h"

namespace keel {
namespace {

constexpr int kRounds = 7;
constexpr char kArchitecture[] = "LlamaForCausalLM";

double BestMilliseconds(const std::function<void()>& f) {
  absl::Duration best = absl::InfiniteDuration();
  for (int round = 0; round < kRounds; ++round) {
    const absl::Time start = absl::Now();
    f();
    best = std::min(best, absl::Now() - start);
  }
  return absl::ToDoubleMilliseconds(best);
}

boost::json::value WithSizes(boost::json::value config, int64_t layers, int64_t hidden,
                             int64_t heads, int64_t intermediate) {
  boost::json::object& c = config.as_object();
  c["num_hidden_layers"] = layers;
  c["hidden_size"] = hidden;
  c["num_attention_heads"] = heads;
  c["num_key_value_heads"] = 8;
  c["head_dim"] = hidden / heads;
  c["intermediate_size"] = intermediate;
  c["vocab_size"] = 128256;
  return config;
}

absl::Status Measure(const std::string& name, Plugin& plugin, const PluginRef& ref,
                     const boost::json::value& config) {
  ModelSource source;
  source.model_class = plugin.FindModel(kArchitecture);
  if (source.model_class == nullptr)
    return absl::NotFoundError(absl::StrCat("no class for ", kArchitecture));
  source.plugin = plugin.self();
  source.plugin_name = "bench";
  source.call = [&](absl::string_view what, absl::FunctionRef<keel_status()> call) {
    return plugin.Call(what, call);
  };
  absl::Status failed;
  RecordedModel model;
  proto::ModelSpec spec;
  const double declaring = BestMilliseconds([&] {
    ConfigDocument document(config, "config.json");
    auto read = RecordSpec(source, document);
    if (!read.ok()) return failed.Update(read.status());
    spec = *read;
    auto declared = RecordDeclarations(source, document, config.get_object(), "config.json", *read);
    if (!declared.ok()) return failed.Update(declared.status());
    model = *std::move(declared);
  });
  if (!failed.ok()) return failed;
  std::vector<proto::Function> functions;
  const double recording = BestMilliseconds([&] {
    auto recorded = RecordFunctions(source, model);
    if (!recorded.ok()) return failed.Update(recorded.status());
    functions = *std::move(recorded);
  });
  if (!failed.ok()) return failed;
  int nodes = 0;
  for (const proto::Function& function : functions) nodes += function.nodes_size();
  const proto::Graph graph = WithFunctions(model.graph, functions);
  const double verifying = BestMilliseconds([&] { failed.Update(VerifyGraph(graph)); });
  const double whole =
      BestMilliseconds([&] { failed.Update(RecordModel(source, config, "config.json").status()); });

  absl::StatusOr<JailedImage> image = PluginTrust().AuthorizeJailed(ref);
  if (!image.ok()) return image.status();
  proto::RecordRequest request;
  request.set_config_json(boost::json::serialize(config));
  request.set_where("config.json");
  request.set_architecture(kArchitecture);
  absl::Status jailed_status;
  const double jailed =
      BestMilliseconds([&] { jailed_status.Update(RecordInJail(*image, request).status()); });
  if (!failed.ok()) return failed;
  std::printf(
      "%-10s %6d ops: declare %7.2f ms, record %7.2f ms (%4.0f ns an op), verify %7.2f ms, "
      "all of it, twice as a host does it %7.2f ms, in a jail %s\n",
      name.c_str(), nodes, declaring, recording, recording * 1e6 / nodes, verifying, whole,
      jailed_status.ok() ? absl::StrCat(static_cast<int>(jailed), " ms").c_str()
                         : jailed_status.ToString().c_str());
  return absl::OkStatus();
}

absl::Status Run(const std::string& library, const std::string& dir) {
  absl::StatusOr<FoundPlugins> found = DiscoverPlugins({.plugin_paths = {library}});
  if (!found.ok()) return found.status();
  const PluginRef ref = found->plugins.at(0);
  absl::StatusOr<std::shared_ptr<Plugin>> plugin = OpenPlugin(ref);
  if (!plugin.ok()) return plugin.status();
  const absl::StatusOr<std::string> text = ReadFile(JoinPath(dir, "config.json"));
  if (!text.ok()) return text.status();
  const absl::StatusOr<boost::json::value> config = ParseJson(*text, "config.json");
  if (!config.ok()) return config.status();
  absl::Status status = Measure("as it is", **plugin, ref, *config);
  status.Update(Measure("Llama 8B", **plugin, ref, WithSizes(*config, 32, 4096, 32, 14336)));
  status.Update(Measure("Llama 70B", **plugin, ref, WithSizes(*config, 80, 8192, 64, 28672)));
  return status;
}

}  // namespace
}  // namespace keel

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: bazel run //tests/recorded:record_bench\n");
    return 2;
  }
  const absl::Status status = keel::Run(argv[1], argv[2]);
  if (!status.ok()) std::fprintf(stderr, "%s\n", status.ToString().c_str());
  return status.ok() ? 0 : 1;
}
