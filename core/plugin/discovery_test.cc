#include "core/plugin/discovery.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/file.h"
#include "core/base/status_matchers.h"
#include "core/plugin/manifest.h"

namespace keel {
namespace {

using ::keel::testing::StatusIs;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr char kMinimal[] = "tests/plugins/libminimal.so";
constexpr absl::StatusCode kInvalid = absl::StatusCode::kInvalidArgument;

std::string MakeDir(const std::string& name) {
  const std::string dir = absl::StrCat(::testing::TempDir(), "/", name);
  mkdir(dir.c_str(), 0755);
  return dir;
}

void Copy(const std::string& from, const std::string& to) {
  std::ofstream(to) << ReadFile(from).value();
}

void Write(const std::string& path, const std::string& text) { std::ofstream(path) << text; }

std::string Manifest(const std::string& path, const std::string& arch = "x86_64") {
  return absl::StrCat(R"({"id": "org.keel.test.minimal", "architectures": ["MinimalForCausalLM"],
      "artifacts": [{"kind": "so", "os": "linux", "arch": ")",
                      arch, R"(", "path": ")", path, R"(", "sha256": ")", std::string(64, '0'),
                      R"("}]})");
}

TEST(DiscoveryTest, ReadsTheNoteOfAFile) {
  KEEL_ASSERT_OK_AND_ASSIGN(const FoundPlugins found,
                            DiscoverPlugins({.plugin_paths = {kMinimal}}));
  ASSERT_EQ(found.plugins.size(), 1u);
  const PluginRef& ref = found.plugins[0];
  EXPECT_EQ(ref.name, "libminimal.so");
  EXPECT_EQ(ref.path.front(), '/');
  EXPECT_EQ(ref.origin, PluginOrigin::kPluginPath);
  EXPECT_EQ(ref.note.version, "1.0");
  EXPECT_THAT(ref.note.architectures, ElementsAre("MinimalForCausalLM"));
  EXPECT_THAT(ref.note.model_types, ElementsAre("minimal"));
}

TEST(DiscoveryTest, AFileThatIsNoPluginIsAnErrorAndInADirectoryIsSkipped) {
  EXPECT_THAT(DiscoverPlugins({.plugin_paths = {"tests/plugins/not_elf.so"}}),
              StatusIs(kInvalid, AllOf(HasSubstr("--plugin-path tests/plugins/not_elf.so"),
                                       HasSubstr("not an ELF file"))));
  EXPECT_THAT(DiscoverPlugins({.plugin_paths = {"/no/such/file.so"}}),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("/no/such/file.so")));

  const std::string dir = MakeDir("mixed");
  Copy(kMinimal, dir + "/libb.so");
  Copy("tests/plugins/libbad_abi_0_7.so", dir + "/liba.so");
  Write(dir + "/notes.txt", "no plugin");
  ASSERT_EQ(symlink("/nowhere", (dir + "/libdangling.so").c_str()), 0);
  KEEL_ASSERT_OK_AND_ASSIGN(const FoundPlugins found, DiscoverPlugins({.plugin_paths = {dir}}));
  ASSERT_EQ(found.plugins.size(), 1u);
  EXPECT_EQ(found.plugins[0].name, "libb.so");
  EXPECT_THAT(found.skipped,
              ElementsAre(HasSubstr("plugin liba.so: needs ABI 0.7"), HasSubstr("libdangling.so")));
}

TEST(DiscoveryTest, SearchesTheDirectoriesOfTheFamiliesOfAnInstallation) {
  const std::string dir = MakeDir("installation");
  MakeDir("installation/minimal");
  Copy(kMinimal, dir + "/minimal/libminimal.so");
  KEEL_ASSERT_OK_AND_ASSIGN(const FoundPlugins found, DiscoverPlugins({.in_tree_dirs = {dir}}));
  ASSERT_EQ(found.plugins.size(), 1u);
  EXPECT_EQ(found.plugins[0].origin, PluginOrigin::kInTree);
  // A --plugin-path goes no deeper than its directory.
  KEEL_ASSERT_OK_AND_ASSIGN(const FoundPlugins flat, DiscoverPlugins({.plugin_paths = {dir}}));
  EXPECT_THAT(flat.plugins, IsEmpty());
}

TEST(DiscoveryTest, AFileFoundTwiceCountsWhereItWasFoundFirst) {
  KEEL_ASSERT_OK_AND_ASSIGN(
      const FoundPlugins found,
      DiscoverPlugins({.plugin_paths = {kMinimal, kMinimal}, .in_tree_dirs = {"tests/plugins"}}));
  int minimal = 0;
  for (const PluginRef& ref : found.plugins) minimal += ref.name == "libminimal.so";
  EXPECT_EQ(minimal, 1);
  EXPECT_EQ(found.plugins[0].origin, PluginOrigin::kPluginPath);
}

TEST(DiscoveryTest, ACheckpointNamesItsPluginInAManifest) {
  const std::string dir = MakeDir("checkpoint");
  Copy(kMinimal, dir + "/libminimal.so");
  KEEL_ASSERT_OK_AND_ASSIGN(const FoundPlugins none, DiscoverPlugins({.checkpoint_dir = dir}));
  EXPECT_THAT(none.plugins, IsEmpty());  // the .so alone is nothing

  Write(dir + "/keel_plugin.json", Manifest("libminimal.so"));
  KEEL_ASSERT_OK_AND_ASSIGN(const FoundPlugins found, DiscoverPlugins({.checkpoint_dir = dir}));
  ASSERT_EQ(found.plugins.size(), 1u);
  EXPECT_EQ(found.plugins[0].origin, PluginOrigin::kCheckpoint);
  EXPECT_EQ(found.plugins[0].sha256, std::string(64, '0'));

  Write(dir + "/keel_plugin.json", Manifest("libminimal.so", "m68k"));
  KEEL_ASSERT_OK_AND_ASSIGN(const FoundPlugins foreign, DiscoverPlugins({.checkpoint_dir = dir}));
  EXPECT_THAT(foreign.skipped, Contains(HasSubstr("only: so linux m68k")));
}

TEST(DiscoveryTest, ACheckpointsGraphComesBeforeItsLibraryUnlessCodeIsPreferred) {
  const std::string dir = MakeDir("graph");
  Copy(kMinimal, dir + "/libminimal.so");
  Write(dir + "/minimal.graph", "not read here");
  std::string manifest = Manifest("libminimal.so");
  manifest.insert(manifest.find("{\"kind\""),
                  absl::StrCat(R"({"kind": "graph", "path": "minimal.graph", "sha256": ")",
                               std::string(64, '1'), "\"}, "));
  Write(dir + "/keel_plugin.json", manifest);
  KEEL_ASSERT_OK_AND_ASSIGN(const FoundPlugins found, DiscoverPlugins({.checkpoint_dir = dir}));
  ASSERT_EQ(found.plugins.size(), 2u);
  EXPECT_EQ(found.plugins[1].name, "libminimal.so");  // may have a processor
  EXPECT_EQ(found.plugins[0].kind, PluginKind::kGraph);
  EXPECT_EQ(found.plugins[0].sha256, std::string(64, '1'));
  EXPECT_THAT(found.plugins[0].note.architectures, ElementsAre("MinimalForCausalLM"));
  KEEL_ASSERT_OK_AND_ASSIGN(const FoundPlugins code,
                            DiscoverPlugins({.checkpoint_dir = dir, .prefer_code = true}));
  ASSERT_EQ(code.plugins.size(), 1u);
  EXPECT_EQ(code.plugins[0].name, "libminimal.so");
}

TEST(DiscoveryTest, AFileOfACheckpointThatLiesElsewhereIsSkippedByName) {
  const std::string dir = MakeDir("linked");
  Copy(kMinimal, ::testing::TempDir() + "/libelsewhere.so");
  ASSERT_EQ(symlink("../libelsewhere.so", (dir + "/libminimal.so").c_str()), 0);
  Write(dir + "/keel_plugin.json", Manifest("libminimal.so"));
  KEEL_ASSERT_OK_AND_ASSIGN(const FoundPlugins found, DiscoverPlugins({.checkpoint_dir = dir}));
  EXPECT_THAT(found.plugins, IsEmpty());
  EXPECT_THAT(found.skipped, ElementsAre(HasSubstr("libminimal.so: is a link that leads out")));
}

TEST(DiscoveryTest, ConfigJsonMayNameTheManifest) {
  const std::string dir = MakeDir("auto_map");
  Copy(kMinimal, dir + "/libminimal.so");
  Write(dir + "/other.json", Manifest("libminimal.so"));
  Write(dir + "/config.json",
        R"({"auto_map": {"AutoModel": "modeling.Foo", "KeelPlugin": "other.json"}})");
  KEEL_ASSERT_OK_AND_ASSIGN(const FoundPlugins found, DiscoverPlugins({.checkpoint_dir = dir}));
  EXPECT_EQ(found.plugins.size(), 1u);
  Write(dir + "/config.json", R"({"auto_map": {"KeelPlugin": "../../etc/keel_plugin.json"}})");
  EXPECT_THAT(DiscoverPlugins({.checkpoint_dir = dir}),
              StatusIs(kInvalid, HasSubstr("auto_map.KeelPlugin")));
}

TEST(GraphFilesTest, OneBesideTheCheckpointServesWhatConfigJsonNames) {
  const std::string dir = MakeDir("beside");
  Write(dir + "/keel-graph.pb", "not read here");
  KEEL_ASSERT_OK_AND_ASSIGN(const FoundPlugins none, DiscoverPlugins({.checkpoint_dir = dir}));
  EXPECT_THAT(none.plugins, IsEmpty());  // without a config.json it is nobody's

  Write(dir + "/config.json", R"({"architectures": ["NewModel"], "model_type": "new"})");
  KEEL_ASSERT_OK_AND_ASSIGN(const FoundPlugins found, DiscoverPlugins({.checkpoint_dir = dir}));
  ASSERT_EQ(found.plugins.size(), 1u);
  const PluginRef& ref = found.plugins[0];
  EXPECT_EQ(ref.kind, PluginKind::kGraph);
  EXPECT_EQ(ref.origin, PluginOrigin::kCheckpoint);
  EXPECT_EQ(LabelOf(ref), "graph file keel-graph.pb");
  EXPECT_THAT(ref.note.architectures, ElementsAre("NewModel"));
  EXPECT_THAT(ref.note.model_types, ElementsAre("new"));
}

TEST(GraphFilesTest, OneThatLiesElsewhereIsSkippedByName) {
  const std::string dir = MakeDir("graph_link");
  Write(::testing::TempDir() + "/elsewhere.pb", "a graph");
  Write(dir + "/config.json", "{}");
  ASSERT_EQ(symlink("../elsewhere.pb", (dir + "/keel-graph.pb").c_str()), 0);
  KEEL_ASSERT_OK_AND_ASSIGN(const FoundPlugins found, DiscoverPlugins({.checkpoint_dir = dir}));
  EXPECT_THAT(found.plugins, IsEmpty());
  EXPECT_THAT(found.skipped,
              ElementsAre(HasSubstr("graph file keel-graph.pb: is a link that leads out")));
}

TEST(GraphFilesTest, WhereCodeIsPreferredACheckpointsLibraryComesBeforeIt) {
  const std::string dir = MakeDir("graph_and_code");
  Copy(kMinimal, dir + "/libminimal.so");
  Write(dir + "/keel_plugin.json", Manifest("libminimal.so"));
  Write(dir + "/config.json", R"({"architectures": ["MinimalForCausalLM"]})");
  Write(dir + "/keel-graph.pb", "a graph");
  KEEL_ASSERT_OK_AND_ASSIGN(const FoundPlugins both, DiscoverPlugins({.checkpoint_dir = dir}));
  EXPECT_EQ(both.plugins.size(), 2u);
  KEEL_ASSERT_OK_AND_ASSIGN(const FoundPlugins code,
                            DiscoverPlugins({.checkpoint_dir = dir, .prefer_code = true}));
  ASSERT_EQ(code.plugins.size(), 1u);
  EXPECT_EQ(code.plugins[0].name, "libminimal.so");
}

TEST(GraphFilesTest, ADirectoryHasThemByTheSha256OfTheConfigOrOneForAll) {
  const std::string model = MakeDir("bound"), graphs = MakeDir("graphs");
  Write(model + "/config.json", "{}");
  const std::string of_config =
      "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a.pb";
  const auto found = [&] {
    return DiscoverPlugins({.graph_dir = graphs, .checkpoint_dir = model})->plugins;
  };
  EXPECT_THAT(found(), IsEmpty());
  Write(graphs + "/keel-graph.pb", "a graph");
  ASSERT_EQ(found().size(), 1u);
  EXPECT_EQ(found()[0].name, "keel-graph.pb");
  EXPECT_EQ(found()[0].origin, PluginOrigin::kGraphDir);
  Write(graphs + "/" + of_config, "a graph");
  ASSERT_EQ(found().size(), 1u);
  EXPECT_EQ(found()[0].name, of_config);
  EXPECT_THAT(DiscoverPlugins({.graph_dir = "/none", .checkpoint_dir = model}),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("--graph-dir /none")));
}

TEST(ManifestTest, AnArtifactCannotLieOutsideTheCheckpoint) {
  for (const char* path : {"../libminimal.so", "/lib/libminimal.so", ".hidden.so", ""}) {
    EXPECT_THAT(ParsePluginManifest(Manifest(path), "keel_plugin.json"),
                StatusIs(kInvalid, HasSubstr("the name of a file beside the manifest")))
        << path;
  }
  EXPECT_THAT(ParsePluginManifest("{\"id\": 1}", "keel_plugin.json"),
              StatusIs(kInvalid, HasSubstr("keel_plugin.json: id")));
}

TEST(InTreePluginDirsTest, TheEnvironmentNamesThem) {
  setenv("KEEL_PLUGIN_DIR", "/opt/a:/opt/b", 1);
  EXPECT_THAT(InTreePluginDirs(), ElementsAre("/opt/a", "/opt/b"));
  unsetenv("KEEL_PLUGIN_DIR");
}

}  // namespace
}  // namespace keel
