#include "core/checkpoint/locate.h"

#include <cstdlib>
#include <filesystem>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/base/file.h"
#include "core/base/status_matchers.h"
#include "core/checkpoint/testing.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::IsOk;
using ::testing::Not;
using testing::ScratchDir;
using testing::StatusIs;
constexpr auto kNotFound = absl::StatusCode::kNotFound;
constexpr char kCommit[] = "0123456789abcdef0123456789abcdef01234567";

// Each test sets the variables it is about; no other is set.
class LocateTest : public ::testing::Test {
 protected:
  LocateTest() {
    for (const char* name :
         {"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME"}) {
      unsetenv(name);
    }
    setenv("HOME", JoinPath(scratch_.path(), "home").c_str(), 1);
  }

  // A repository as huggingface_hub leaves it: blobs, a snapshot of links to them, a ref. Gives the
  // snapshot.
  std::string MakeRepository(const std::string& cache, const std::string& folder,
                             const std::string& ref = "main") {
    const std::string repository = JoinPath(cache, folder);
    scratch_.Write(JoinPath(repository, "blobs/b10b"), "{}");
    scratch_.Write(JoinPath(repository, absl::StrCat("refs/", ref)), kCommit);
    const std::string snapshot = JoinPath(repository, absl::StrCat("snapshots/", kCommit));
    std::filesystem::create_directories(snapshot);
    std::filesystem::create_symlink("../../blobs/b10b", JoinPath(snapshot, "config.json"));
    return snapshot;
  }
  std::string Path(const std::string& name) { return JoinPath(scratch_.path(), name); }

  const ScratchDir scratch_;
};

TEST_F(LocateTest, AnExistingDirectoryWins) {
  MakeRepository(Path("hub"), "models--org--name");
  setenv("HF_HUB_CACHE", Path("hub").c_str(), 1);
  scratch_.Write("work/org/name/config.json", "{}");
  KEEL_ASSERT_OK_AND_ASSIGN(const ModelLocation relative, LocateModel("org/name", Path("work")));
  EXPECT_EQ(relative.dir, Path("work/org/name"));
  EXPECT_EQ(relative.commit, "");
  KEEL_ASSERT_OK_AND_ASSIGN(const ModelLocation absolute, LocateModel(Path("work"), "/elsewhere"));
  EXPECT_EQ(absolute.dir, Path("work"));
}

TEST_F(LocateTest, FindsASnapshotOfLinksByBranchTagAndCommit) {
  const std::string snapshot = MakeRepository(Path("hub"), "models--org--name");
  MakeRepository(Path("hub2"), "models--org--name", "refs/pr/1");
  setenv("HF_HUB_CACHE", Path("hub").c_str(), 1);
  for (const std::string& model : {std::string("org/name"), std::string("org/name@main"),
                                   absl::StrCat("org/name@", kCommit)}) {
    KEEL_ASSERT_OK_AND_ASSIGN(const ModelLocation location, LocateModel(model));
    EXPECT_EQ(location.dir, snapshot);
    EXPECT_EQ(location.commit, kCommit);
    EXPECT_THAT(ReadFile(JoinPath(location.dir, "config.json")), IsOk());
  }
  setenv("HF_HUB_CACHE", Path("hub2").c_str(), 1);
  EXPECT_THAT(LocateModel("org/name@refs/pr/1"), IsOk());
}

TEST_F(LocateTest, TheOnlySnapshotIsMainWhereNoRefSaysSo) {
  const std::string snapshot = MakeRepository(Path("hub"), "models--org--name", "v1");
  setenv("HF_HUB_CACHE", Path("hub").c_str(), 1);
  KEEL_ASSERT_OK_AND_ASSIGN(const ModelLocation location, LocateModel("org/name"));
  EXPECT_EQ(location.dir, snapshot);
  EXPECT_EQ(location.commit, kCommit);
  EXPECT_THAT(LocateModel("org/name@dev"), StatusIs(kNotFound, HasSubstr("refs/dev")));
  std::filesystem::create_directories(
      Path(absl::StrCat("hub/models--org--name/snapshots/", std::string(40, 'a'))));
  EXPECT_THAT(LocateModel("org/name"), StatusIs(kNotFound, HasSubstr("refs/main")));
}

TEST_F(LocateTest, FindsANameWithoutAnOrganisation) {
  MakeRepository(Path("hub"), "models--gpt2");
  setenv("HF_HUB_CACHE", Path("hub").c_str(), 1);
  EXPECT_THAT(LocateModel("gpt2"), IsOk());
}

TEST_F(LocateTest, TheFirstVariableThatIsSetNamesTheCache) {
  const auto found = [](const std::string& below) {
    const absl::StatusOr<ModelLocation> location = LocateModel("org/name");
    return location.ok() && absl::StrContains(location->dir, below);
  };
  MakeRepository(Path("home/.cache/huggingface/hub"), "models--org--name");
  EXPECT_TRUE(found("/home/.cache/huggingface/hub/"));
  MakeRepository(Path("xdg/huggingface/hub"), "models--org--name");
  setenv("XDG_CACHE_HOME", Path("xdg").c_str(), 1);
  EXPECT_TRUE(found("/xdg/huggingface/hub/"));
  MakeRepository(Path("home/hf/hub"), "models--org--name");
  setenv("HF_HOME", "~/hf", 1);
  EXPECT_TRUE(found("/home/hf/hub/"));
  MakeRepository(Path("legacy"), "models--org--name");
  setenv("HUGGINGFACE_HUB_CACHE", Path("legacy").c_str(), 1);
  EXPECT_TRUE(found("/legacy/"));
  MakeRepository(Path("hub"), "models--org--name");
  setenv("HF_HUB_CACHE", Path("hub").c_str(), 1);
  EXPECT_TRUE(found("/hub/models--"));
}

TEST_F(LocateTest, ErrorsNameEveryPlaceThatWasLookedAt) {
  setenv("HF_HOME", Path("hf").c_str(), 1);
  EXPECT_THAT(LocateModel("org/name", "/base"),
              StatusIs(kNotFound, AllOf(HasSubstr("model 'org/name' was not found"),
                                        HasSubstr("/base/org/name (no directory)"),
                                        HasSubstr(Path("hf/hub/models--org--name")),
                                        HasSubstr("set by HF_HOME"))));
  MakeRepository(Path("hf/hub"), "models--org--name");
  EXPECT_THAT(LocateModel("org/name@dev"),
              StatusIs(kNotFound, HasSubstr("models--org--name/refs/dev (does not exist)")));
  const std::string other(40, 'a');
  EXPECT_THAT(LocateModel("org/name@" + other),
              StatusIs(kNotFound, HasSubstr(absl::StrCat("snapshots/", other))));
}

TEST_F(LocateTest, ARefMustHoldACommit) {
  scratch_.Write("hub/models--org--name/refs/main", "../../etc");
  setenv("HF_HUB_CACHE", Path("hub").c_str(), 1);
  EXPECT_THAT(LocateModel("org/name"), StatusIs(kNotFound, HasSubstr("holds no commit id")));
}

TEST_F(LocateTest, NamesThatLeaveTheCacheAreNoIds) {
  setenv("HF_HUB_CACHE", Path("hub").c_str(), 1);
  for (const char* model : {"../x/y", "a/b/c", "/no/such/dir", "a/..", "org/name@../../x",
                            "org/name@", "org--a/name", "a b", "./model"}) {
    EXPECT_THAT(LocateModel(model), StatusIs(kNotFound, AllOf(HasSubstr("not of the form org/name"),
                                                              Not(HasSubstr("models--")))))
        << model;
  }
}

TEST_F(LocateTest, RefusesAFileWithAdvice) {
  scratch_.Write("m/model.safetensors", "");
  EXPECT_THAT(LocateModel("m/model.safetensors", scratch_.path()),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("is a file; give the directory that holds config.json")));
  EXPECT_THAT(LocateModel(""), StatusIs(absl::StatusCode::kInvalidArgument));
}

}  // namespace
}  // namespace keel
