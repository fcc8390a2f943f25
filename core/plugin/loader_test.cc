#include "core/plugin/loader.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/file.h"
#include "core/base/status_matchers.h"
#include "core/plugin/discovery.h"

namespace keel {
namespace {

using ::keel::testing::IsOk;
using ::keel::testing::StatusIs;
using ::testing::HasSubstr;
using ::testing::Not;

std::string File(absl::string_view name) { return absl::StrCat("tests/plugins/lib", name, ".so"); }

absl::StatusOr<AuthorizedImage> Authorize(const std::string& path) {
  KEEL_ASSIGN_OR_RETURN(const FoundPlugins found, DiscoverPlugins({.plugin_paths = {path}}));
  return PluginTrust().Authorize(found.plugins.at(0));
}

const HostInterfaces& NoInterfaces() {
  static const HostInterfaces* const interfaces = new HostInterfaces;
  return *interfaces;
}

absl::StatusOr<std::shared_ptr<Plugin>> Load(absl::string_view name) {
  KEEL_ASSIGN_OR_RETURN(AuthorizedImage image, Authorize(File(name)));
  return PluginLoader(&NoInterfaces()).Load(std::move(image));
}

bool IsInMaps(absl::string_view text) {
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    if (line.find(std::string(text)) != std::string::npos) return true;
  }
  return false;
}

TEST(PluginLoaderTest, LoadsThePlugin) {
  KEEL_ASSERT_OK_AND_ASSIGN(const std::shared_ptr<Plugin> plugin, Load("minimal"));
  EXPECT_EQ(plugin->name(), "libminimal.so");
  EXPECT_EQ(plugin->ref().note.id, "org.keel.test.minimal");
  ASSERT_NE(plugin->FindModel("MinimalForCausalLM"), nullptr);
  EXPECT_EQ(plugin->FindModel("LlamaForCausalLM"), nullptr);
  EXPECT_FALSE(plugin->must_stay_loaded());
}

TEST(PluginLoaderTest, LoadsTheSameBytesOnce) {
  PluginLoader loader(&NoInterfaces());
  KEEL_ASSERT_OK_AND_ASSIGN(AuthorizedImage first_image, Authorize(File("minimal")));
  KEEL_ASSERT_OK_AND_ASSIGN(AuthorizedImage second_image, Authorize(File("minimal")));
  KEEL_ASSERT_OK_AND_ASSIGN(const auto first, loader.Load(std::move(first_image)));
  KEEL_ASSERT_OK_AND_ASSIGN(const auto second, loader.Load(std::move(second_image)));
  EXPECT_EQ(first, second);
}

TEST(PluginLoaderTest, UnloadLeavesNoPageOfThePluginInTheProcess) {
  PluginLoader loader(&NoInterfaces());
  for (int round = 0; round < 3; ++round) {
    KEEL_ASSERT_OK_AND_ASSIGN(AuthorizedImage image, Authorize(File("minimal")));
    KEEL_ASSERT_OK_AND_ASSIGN(const auto plugin, loader.Load(std::move(image)));
    ASSERT_TRUE(IsInMaps("libminimal.so"));
    KEEL_EXPECT_OK(plugin->Unload());
    EXPECT_FALSE(IsInMaps("libminimal.so"));
    EXPECT_FALSE(plugin->is_loaded());
    EXPECT_EQ(plugin->FindModel("MinimalForCausalLM"), nullptr);
    EXPECT_EQ(plugin->name(), "libminimal.so");
  }
}

TEST(PluginLoaderTest, TheLastOwnerUnloads) {
  { ASSERT_THAT(Load("minimal"), IsOk()); }
  EXPECT_FALSE(IsInMaps("libminimal.so"));
}

TEST(PluginLoaderTest, MapsTheBytesThatWereAuthorizedNotTheFileOfNow) {
  const std::string path = absl::StrCat(::testing::TempDir(), "/libswapped.so");
  KEEL_ASSERT_OK_AND_ASSIGN(const std::string good, ReadFile(File("minimal")));
  std::ofstream(path) << good;
  KEEL_ASSERT_OK_AND_ASSIGN(AuthorizedImage image, Authorize(path));
  std::ofstream(path, std::ios::trunc) << "something else";
  EXPECT_THAT(PluginLoader(&NoInterfaces()).Load(std::move(image)), IsOk());
}

TEST(PluginLoaderTest, FindingAndAuthorizingRunNoCode) {
  const std::string mark = absl::StrCat(::testing::TempDir(), "/constructor_ran");
  setenv("KEEL_TEST_MARK", mark.c_str(), 1);
  KEEL_ASSERT_OK_AND_ASSIGN(AuthorizedImage image, Authorize(File("bad_constructor")));
  EXPECT_FALSE(IsRegularFile(mark));
  EXPECT_THAT(PluginLoader(&NoInterfaces()).Load(std::move(image)), IsOk());
  EXPECT_TRUE(IsRegularFile(mark));  // else the line before proved nothing
}

struct BadPlugin {
  const char* name;
  absl::StatusCode code;
  const char* message;
};

void PrintTo(const BadPlugin& bad, std::ostream* os) { *os << bad.name; }

class BadPluginTest : public ::testing::TestWithParam<BadPlugin> {};

TEST_P(BadPluginTest, IsRefusedWithTheReason) {
  const absl::Status status = Load(GetParam().name).status();
  EXPECT_THAT(status, StatusIs(GetParam().code, HasSubstr(GetParam().message)));
  EXPECT_THAT(std::string(status.message()),
              HasSubstr(absl::StrCat("plugin lib", GetParam().name, ".so: ")));
  EXPECT_FALSE(IsInMaps("libbad_"));
}

constexpr absl::StatusCode kInvalid = absl::StatusCode::kInvalidArgument;
constexpr absl::StatusCode kFailed = absl::StatusCode::kFailedPrecondition;
constexpr absl::StatusCode kUnimplemented = absl::StatusCode::kUnimplemented;

INSTANTIATE_TEST_SUITE_P(
    EachRule, BadPluginTest,
    ::testing::Values(
        // By the file alone.
        BadPlugin{
            "bad_abi_2", kFailed,
            "needs ABI 2.2, this host speaks 0.2; build it with an SDK of 0.2 or update keel"},
        BadPlugin{
            "bad_abi_0_7", kFailed,
            "needs ABI 0.7, this host speaks 0.2; build it with an SDK of 0.2 or update keel"},
        BadPlugin{"bad_no_entry", kInvalid,
                  "does not export keel_plugin_entry_v1, so it is no Keel plugin"},
        BadPlugin{"bad_no_note", kInvalid, "has no Keel note"},
        BadPlugin{"bad_bad_note", kInvalid, "its Keel note: id is 'org.keel.test bad'"},
        BadPlugin{"bad_two_notes", kInvalid, "has two Keel notes"},
        BadPlugin{"bad_extra_export", kInvalid, "helper beside keel_plugin_entry_v1"},
        BadPlugin{"bad_unique_symbol", kInvalid, "has unique symbols"},
        BadPlugin{"bad_needs_zlib", kInvalid, "needs libz.so.1; a plugin may link libc"},
        BadPlugin{"bad_runpath", kInvalid, "has the library search path /opt/elsewhere"},
        BadPlugin{"bad_nodelete", kInvalid, "link it without -z nodelete"},
        BadPlugin{"bad_static_tls", kInvalid, "initial-exec thread-local storage"},
        BadPlugin{"bad_exec_stack", kInvalid, "wants an executable stack"},
        BadPlugin{"bad_lazy", kInvalid, "link it with -z relro -z now"},
        // By loading it.
        BadPlugin{"bad_fast_math", kFailed, "link it without -ffast-math"},
        // By its descriptor.
        BadPlugin{"bad_null_descriptor", kFailed, "keel_plugin_entry_v1 returned NULL"},
        BadPlugin{"bad_small_descriptor", kFailed, "struct_size is 72, the bootstrap has 80 bytes"},
        BadPlugin{"bad_descriptor_abi_0_7", kFailed, "needs ABI 0.7, this host speaks 0.2"},
        BadPlugin{"bad_newer_host", kFailed,
                  "needs a host of ABI 0.9, this host speaks 0.2; update keel"},
        BadPlugin{"bad_null_shutdown", kFailed, "its descriptor: shutdown is NULL"},
        BadPlugin{"bad_needs_torch", kUnimplemented, "KEEL_PLUGIN_NEEDS_TORCH"},
        // By init.
        BadPlugin{"bad_init_fails", absl::StatusCode::kUnavailable,
                  "init: the license\\nserver is down"},
        BadPlugin{"bad_init_fails_silently", absl::StatusCode::kUnknown,
                  "init: failed with UNKNOWN (4711) and no message"},
        BadPlugin{"bad_throws", absl::StatusCode::kInternal, "init: let an exception out"},
        // By its classes.
        BadPlugin{"bad_null_item", kFailed, "keel.models/1[1] is NULL"},
        BadPlugin{"bad_small_class", kFailed, "keel.models/1[0]: struct_size is 24"},
        BadPlugin{"bad_null_name", kFailed, "keel.models/1[0]: name is NULL"},
        BadPlugin{"bad_null_forward", kFailed, "model BadForCausalLM: forward is NULL"},
        BadPlugin{"bad_eager_only", kUnimplemented, "model BadForCausalLM: KEEL_MODEL_EAGER_ONLY"},
        BadPlugin{"bad_unknown_flag", kUnimplemented, "model BadForCausalLM: flags are 0x40000000"},
        BadPlugin{"bad_hidden_kernel", kFailed, "without the flag KEEL_PLUGIN_HAS_KERNELS"},
        BadPlugin{"bad_note_lies", kFailed,
                  "its Keel note says architectures 'BadForCausalLM,LlamaForCausalLM', its code "
                  "says 'BadForCausalLM'"}),
    [](const ::testing::TestParamInfo<BadPlugin>& info) { return std::string(info.param.name); });

TEST(CallPluginTest, KeepsTheMessageOfTheInnerCallApart) {
  HostInterfaces interfaces;
  PluginHost host("libouter.so", &interfaces, nullptr);
  const auto set_error = [&](absl::string_view message) {
    host.get()->set_error(host.get()->self, 3, message.data(), message.size());
  };
  const absl::Status status = CallPlugin("libouter.so", "create", [&] {
    set_error("the outer message");
    EXPECT_THAT(
        CallPlugin("libinner.so", "run", [&] { return set_error("the inner message"), 5; }),
        StatusIs(absl::StatusCode::kNotFound, "plugin libinner.so: run: the inner message"));
    return 3;
  });
  EXPECT_THAT(status, StatusIs(kInvalid, "plugin libouter.so: create: the outer message"));
}

TEST(CallPluginTest, ForgetsAMessageWhenTheCallSucceeds) {
  HostInterfaces interfaces;
  PluginHost host("libfoo.so", &interfaces, nullptr);
  EXPECT_THAT(CallPlugin("libfoo.so", "create",
                         [&] { return host.get()->set_error(host.get()->self, 3, "no", 2), 0; }),
              IsOk());
  EXPECT_THAT(CallPlugin("libfoo.so", "create", [] { return 9; }),
              StatusIs(kFailed, Not(HasSubstr("no\n"))));
}

TEST(PluginHostTest, GivesInterfacesAndLogs) {
  HostInterfaces interfaces;
  const int table = 0;
  interfaces.Add("keel.config/1", &table);
  std::string line;
  PluginHost host(
      "libfoo.so", &interfaces,
      [&](int level, absl::string_view plugin, absl::string_view where, absl::string_view message) {
        line = absl::StrCat(level, "|", plugin, "|", where, "|", message);
      });
  const keel_host* h = host.get();
  EXPECT_EQ(h->get_interface(h->self, "keel.config/1"), &table);
  EXPECT_EQ(h->get_interface(h->self, "keel.config/2"), nullptr);
  EXPECT_EQ(h->get_interface(h->self, nullptr), nullptr);
  h->log(h->self, 9, nullptr, "red\x1b[31m", 8);
  EXPECT_EQ(line, "3|libfoo.so||red\\x1b[31m");
}

}  // namespace
}  // namespace keel
