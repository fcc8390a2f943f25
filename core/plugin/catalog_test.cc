#include "core/plugin/catalog.h"

#include <string>
#include <utility>
#include <vector>

#include "core/base/status_matchers.h"

namespace keel {
namespace {

using ::keel::testing::StatusIs;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Mode = RemoteCodePolicy::Mode;

PluginRef Ref(const std::string& name, PluginOrigin origin, std::vector<std::string> architectures,
              std::vector<std::string> model_types = {}) {
  PluginRef ref;
  ref.path = "/plugins/" + name;
  ref.name = name;
  ref.origin = origin;
  ref.note.architectures = std::move(architectures);
  ref.note.model_types = std::move(model_types);
  return ref;
}

FoundPlugins Families() {
  FoundPlugins found;
  found.in_tree_dirs = {"/plugins"};
  found.plugins = {
      Ref("libllama.so", PluginOrigin::kInTree, {"LlamaForCausalLM"}, {"llama"}),
      Ref("libqwen2.so", PluginOrigin::kInTree, {"Qwen2ForCausalLM"}, {"qwen2"}),
  };
  return found;
}

ModelQuery Query(const std::string& architecture, ModelImpl impl = ModelImpl::kAuto) {
  return {.architectures = {architecture}, .impl = impl};
}

// The file that serves `query`, or "".
std::string Serves(const FoundPlugins& found, const ModelQuery& query, Mode mode = Mode::kNone) {
  const absl::StatusOr<ModelChoice> choice = PluginCatalog(found, mode).FindModel(query);
  return choice.ok() ? choice->plugin.name : "";
}

TEST(PluginCatalogTest, FindsTheFamilyOfAnArchitecture) {
  EXPECT_EQ(Serves(Families(), Query("Qwen2ForCausalLM")), "libqwen2.so");
}

TEST(PluginCatalogTest, ACheckpointsGraphNeedsNoTrust) {
  FoundPlugins found = Families();
  found.plugins.push_back(Ref("new.graph", PluginOrigin::kCheckpoint, {"NewForCausalLM"}));
  const ModelQuery query = Query("NewForCausalLM");
  EXPECT_EQ(Serves(found, query, Mode::kNone), "");
  EXPECT_EQ(Serves(found, query, Mode::kJailed), "new.graph");
  found.plugins.back().kind = PluginKind::kGraph;
  EXPECT_EQ(Serves(found, query, Mode::kNone), "new.graph");
  EXPECT_EQ(Serves(found, Query("NewForCausalLM", ModelImpl::kPlugin)), "new.graph");
  EXPECT_EQ(Serves(found, Query("NewForCausalLM", ModelImpl::kNative)), "");
}

TEST(PluginCatalogTest, TheOperatorsGraphComesBeforeTheCheckpointsAndAfterTheFamily) {
  FoundPlugins found = Families();
  for (const PluginOrigin origin : {PluginOrigin::kCheckpoint, PluginOrigin::kGraphDir}) {
    const std::string name = origin == PluginOrigin::kGraphDir ? "mine.pb" : "theirs.pb";
    found.plugins.push_back(Ref(name, origin, {"LlamaForCausalLM", "NewForCausalLM"}));
    found.plugins.back().kind = PluginKind::kGraph;
  }
  EXPECT_EQ(Serves(found, Query("NewForCausalLM")), "mine.pb");
  EXPECT_EQ(Serves(found, Query("LlamaForCausalLM")), "libllama.so");
  EXPECT_EQ(Serves(found, Query("LlamaForCausalLM", ModelImpl::kTransformers)), "mine.pb");
  EXPECT_EQ(Serves(found, Query("LlamaForCausalLM", ModelImpl::kNative)), "libllama.so");
}

TEST(PluginCatalogTest, PluginPathComesBeforeInTreeBeforeTheCheckpoint) {
  FoundPlugins found = Families();
  const ModelQuery query = Query("LlamaForCausalLM");
  found.plugins.push_back(Ref("libtheirs.so", PluginOrigin::kCheckpoint, {"LlamaForCausalLM"}));
  EXPECT_EQ(Serves(found, query, Mode::kFull), "libllama.so");
  found.plugins.push_back(Ref("libmine.so", PluginOrigin::kPluginPath, {"LlamaForCausalLM"}));
  EXPECT_EQ(Serves(found, query, Mode::kFull), "libmine.so");
}

TEST(PluginCatalogTest, ModelImplChoosesThePlace) {
  FoundPlugins found = Families();
  found.plugins.push_back(Ref("libmine.so", PluginOrigin::kPluginPath, {"LlamaForCausalLM"}));
  EXPECT_EQ(Serves(found, Query("LlamaForCausalLM", ModelImpl::kNative)), "libllama.so");
  EXPECT_EQ(Serves(found, Query("LlamaForCausalLM", ModelImpl::kPlugin)), "libmine.so");
  EXPECT_EQ(Serves(found, Query("Qwen2ForCausalLM", ModelImpl::kPlugin)), "");
}

TEST(PluginCatalogTest, AnUntrustedCheckpointsPluginIsNamedButNotTaken) {
  FoundPlugins found = Families();
  found.plugins.push_back(Ref("libtheirs.so", PluginOrigin::kCheckpoint, {"FooForCausalLM"}));
  const ModelQuery query = Query("FooForCausalLM");
  EXPECT_THAT(PluginCatalog(found, Mode::kNone).FindModel(query),
              StatusIs(absl::StatusCode::kNotFound,
                       HasSubstr("libtheirs.so (the checkpoint) serves it, but "
                                 "--trust-remote-code is not given")));
  EXPECT_EQ(Serves(found, query, Mode::kFull), "libtheirs.so");
}

TEST(PluginCatalogTest, ARefusalSaysWhatWasLookedForWhereAndWhatIsNear) {
  FoundPlugins found = Families();
  found.skipped = {"plugin libold.so: needs ABI 0.7"};
  EXPECT_THAT(PluginCatalog(found, Mode::kNone).FindModel(Query("LamaForCausalLM")),
              StatusIs(absl::StatusCode::kNotFound,
                       AllOf(HasSubstr("no plugin serves LamaForCausalLM"),
                             HasSubstr("in-tree /plugins (libllama.so, libqwen2.so)"),
                             HasSubstr("--plugin-path (no plugins)"),
                             HasSubstr("skipped plugin libold.so: needs ABI 0.7"),
                             HasSubstr("nearest: LlamaForCausalLM"),
                             HasSubstr("docs/plugin-authoring.md"))));
}

TEST(PluginCatalogTest, AChoiceSaysWhyItAndWhyNotTheOthers) {
  FoundPlugins found = Families();
  found.plugins.push_back(Ref("libmine.so", PluginOrigin::kPluginPath, {"MineForCausalLM"}));
  const PluginCatalog catalog(found, Mode::kNone);
  KEEL_ASSERT_OK_AND_ASSIGN(const ModelChoice automatic,
                            catalog.FindModel(Query("LlamaForCausalLM")));
  EXPECT_EQ(automatic.source, ImplSource::kInTree);
  EXPECT_EQ(ImplWord(automatic.source), "native");
  EXPECT_EQ(automatic.reason,
            "auto: in-tree serves LlamaForCausalLM by libllama.so; before it, --plugin-path has "
            "none for it");
  ASSERT_EQ(automatic.steps.size(), std::size(kImplSources));
  EXPECT_EQ(automatic.steps[2].outcome, "was not needed");
  EXPECT_EQ(automatic.steps[3].outcome, "left out without --trust-remote-code");
  KEEL_ASSERT_OK_AND_ASSIGN(const ModelChoice mine,
                            catalog.FindModel(Query("MineForCausalLM", ModelImpl::kPlugin)));
  EXPECT_EQ(mine.reason, "plugin: --plugin-path serves MineForCausalLM by libmine.so");
}

TEST(PluginCatalogTest, TransformersAsksForAGraphOfThePythonClass) {
  ModelQuery query = Query("LlamaForCausalLM", ModelImpl::kTransformers);
  query.dir = "/models/llama";
  EXPECT_THAT(PluginCatalog(Families(), Mode::kFull).FindModel(query),
              StatusIs(absl::StatusCode::kNotFound,
                       AllOf(HasSubstr("no graph of the Python class of LlamaForCausalLM"),
                             HasSubstr("keel export-transformers /models/llama"))));
}

TEST(PluginCatalogTest, ModelTypeCountsOnlyWithoutArchitectures) {
  EXPECT_EQ(Serves(Families(), {.model_type = "llama"}), "libllama.so");
  // Llama's model_type, but no causal language model.
  EXPECT_EQ(Serves(Families(),
                   {.architectures = {"LlamaForSequenceClassification"}, .model_type = "llama"}),
            "");
}

TEST(PluginCatalogTest, TwoPluginsOfOnePlaceForOneModelAreAnError) {
  FoundPlugins found = Families();
  found.plugins.push_back(Ref("libllama2.so", PluginOrigin::kInTree, {"LlamaForCausalLM"}));
  EXPECT_THAT(PluginCatalog(found, Mode::kNone).FindModel(Query("LlamaForCausalLM")),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       AllOf(HasSubstr("/plugins/libllama.so and /plugins/libllama2.so"),
                             HasSubstr("leave one"))));
}

TEST(ModelImplTest, ParsesTheFlag) {
  EXPECT_EQ(*ParseModelImpl("transformers"), ModelImpl::kTransformers);
  EXPECT_THAT(ParseModelImpl("vllm"), StatusIs(absl::StatusCode::kInvalidArgument,
                                               HasSubstr("expected auto, native, plugin")));
}

TEST(PluginCatalogTest, FindsAnAttentionImplementationOfAPlugin) {
  FoundPlugins found;
  found.plugins.push_back(Ref("libflash.so", PluginOrigin::kPluginPath, {}));
  found.plugins[0].note.attention = {"org.example.flash"};
  const PluginCatalog catalog(found, Mode::kNone);
  EXPECT_EQ((*catalog.FindAttention("org.example.flash"))->name, "libflash.so");
  EXPECT_EQ(*catalog.FindAttention("org.example.other"), nullptr);
  EXPECT_THAT(catalog.AttentionNames(), ElementsAre("org.example.flash"));
}

TEST(PluginCatalogTest, FindsTheProcessorOrLeavesItToTheHost) {
  FoundPlugins found;
  found.plugins.push_back(Ref("libvl.so", PluginOrigin::kInTree, {}));
  found.plugins[0].note.processors = {"FooProcessor"};
  const PluginCatalog catalog(found, Mode::kNone);
  EXPECT_EQ((*catalog.FindProcessor("FooProcessor"))->name, "libvl.so");
  EXPECT_EQ(*catalog.FindProcessor("BarProcessor"), nullptr);
}

}  // namespace
}  // namespace keel
