#include "core/media/source.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "core/base/status_matchers.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel {
namespace {

using ::keel::testing::StatusIs;
using ::testing::HasSubstr;
using ::testing::Not;

absl::StatusOr<std::string> Read(const std::string& url, MediaSource::Options options = {}) {
  auto source = MediaSource::Create(options);
  if (!source.ok()) return source.status();
  return (*source)->Read(url);
}

TEST(SourceTest, ADataUrlHoldsItsBytes) {
  EXPECT_EQ(Read("data:image/png;base64,aGVsbG8=").value(), "hello");
  EXPECT_EQ(Read("DATA:image/svg+xml;charset=utf-8;base64,aGVsbG8h").value(), "hello!");
  EXPECT_EQ(Read("data:;base64,/+8=").value(), "\xff\xef");
  EXPECT_EQ(Read("data:image/png;base64,").value(), "");
}

TEST(SourceTest, ADataUrlOfAnotherFormIsRefusedAndNotQuoted) {
  for (const char* url : {"data:", "data:image/png", "data:image/png,secret",
                          "data:image/png;base64", "data:text/plain;charset=utf-8,secret",
                          "data:<x>;base64,aGVsbG8=", "data:image/png;base64,aGVsbG8",
                          "data:image/png;base64,aGVs bG8=", "data:image/png;base64,aGVsb===",
                          "data:image/png;base64,aGV=bG8=", "data:image/png;base64,aGVs-_8=",
                          "data:image/png;base64,aGVsbG8=\n"}) {
    EXPECT_THAT(Read(url), StatusIs(absl::StatusCode::kInvalidArgument, Not(HasSubstr("secret"))))
        << url;
  }
}

TEST(SourceTest, SizesAreHeldAgainstTheLimitBeforeDecoding) {
  const std::string data = absl::Base64Escape(std::string(10, 'x'));
  EXPECT_EQ(DecodeBase64(data, 10).value(), std::string(10, 'x'));
  EXPECT_THAT(DecodeBase64(data, 9),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("at most 9")));
  // Not even looked at.
  EXPECT_THAT(DecodeBase64(std::string(1000, '!'), 9),
              StatusIs(absl::StatusCode::kResourceExhausted));
}

TEST(SourceTest, OtherSchemesAreRefused) {
  for (const char* url : {"", "image.png", "/etc/passwd", "ftp://example.com/x", "gopher://x",
                          "javascript:1", ":x", "blob:1"}) {
    EXPECT_THAT(Read(url), StatusIs(absl::StatusCode::kInvalidArgument,
                                    HasSubstr("expected data:, file:, https: or http:")))
        << url;
  }
}

class LocalFilesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    root_ = absl::StrCat(::testing::TempDir(), "/source_test_XXXXXX");
    ASSERT_NE(mkdtemp(root_.data()), nullptr);
    root_ = std::filesystem::canonical(root_);
    ASSERT_EQ(mkdir(absl::StrCat(root_, "/media").c_str(), 0700), 0);
    Write("media/a b.png", "image");
    Write("secret.png", "secret");
    Write("media-of-others.png", "secret");
    Link("a b.png", "media/inside.png");
    Link("../secret.png", "media/out.png");
    Link(absl::StrCat(root_, "/secret.png"), "media/absolute.png");
    Link("..", "media/up");
    Link("media", "linked");
    options_.allowed_local_media_path = absl::StrCat(root_, "/media");
  }

  void Write(const std::string& name, const std::string& text) {
    std::ofstream(absl::StrCat(root_, "/", name)) << text;
  }
  void Link(const std::string& to, const std::string& name) {
    ASSERT_EQ(symlink(to.c_str(), absl::StrCat(root_, "/", name).c_str()), 0);
  }
  absl::StatusOr<std::string> ReadFile(const std::string& name) {
    return Read(absl::StrCat("file://", root_, "/", name), options_);
  }

  std::string root_;
  MediaSource::Options options_;
};

TEST_F(LocalFilesTest, AFileBelowTheDirectoryIsRead) {
  EXPECT_EQ(ReadFile("media/a%20b.png").value(), "image");
  EXPECT_EQ(ReadFile("media//a b.png").value(), "image");
  EXPECT_EQ(ReadFile("media/inside.png").value(), "image");
  EXPECT_EQ(Read(absl::StrCat("file://localhost", root_, "/media/inside.png"), options_).value(),
            "image");
  // The flag may go through a link, and the URL past it.
  options_.allowed_local_media_path = absl::StrCat(root_, "/linked/");
  EXPECT_EQ(ReadFile("media/inside.png").value(), "image");
  EXPECT_EQ(ReadFile("linked/inside.png").value(), "image");
}

TEST_F(LocalFilesTest, NothingOutsideOfItIs) {
  for (const char* name :
       {"secret.png", "media-of-others.png", "media/../secret.png", "media/%2e%2e/secret.png",
        "media/out.png", "media/absolute.png", "media/up/secret.png", "media", "media/"}) {
    EXPECT_THAT(ReadFile(name), StatusIs(absl::StatusCode::kPermissionDenied,
                                         HasSubstr("--allowed-local-media-path")))
        << name;
  }
}

TEST_F(LocalFilesTest, WhatIsNoFileIsRefused) {
  ASSERT_EQ(mkfifo(absl::StrCat(root_, "/media/pipe").c_str(), 0600), 0);
  ASSERT_EQ(mkdir(absl::StrCat(root_, "/media/folder").c_str(), 0700), 0);
  EXPECT_THAT(ReadFile("media/pipe"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("is no regular file")));
  EXPECT_THAT(ReadFile("media/folder"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("is no regular file")));
  EXPECT_THAT(ReadFile("media/none.png"), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(ReadFile("media/a%2"), StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(ReadFile("media/a%00b"), StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(Read("file://elsewhere/x.png", options_),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("file:///path")));
  options_.max_bytes = 4;
  EXPECT_THAT(ReadFile("media/inside.png"),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("expected at most 4")));
}

TEST_F(LocalFilesTest, WithoutTheFlagThereAreNone) {
  options_.allowed_local_media_path.clear();
  EXPECT_THAT(ReadFile("media/inside.png"),
              StatusIs(absl::StatusCode::kPermissionDenied,
                       HasSubstr("start it with --allowed-local-media-path")));
  options_.allowed_local_media_path = "/nowhere";
  EXPECT_THAT(ReadFile("x"), StatusIs(absl::StatusCode::kInvalidArgument,
                                      HasSubstr("--allowed-local-media-path /nowhere")));
}

}  // namespace
}  // namespace keel
