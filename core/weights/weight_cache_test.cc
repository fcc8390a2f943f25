#include "core/weights/weight_cache.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/file.h"
#include "core/base/status_matchers.h"
#include "core/checkpoint/testing.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel {
namespace {

using ::keel::testing::StatusIs;
using ::testing::HasSubstr;
using ::testing::SizeIs;

constexpr int64_t kBytes = 100'000;

std::string Key(char c) { return std::string(64, c); }

std::shared_ptr<const uint8_t> Bytes(uint8_t first) {
  std::shared_ptr<uint8_t> bytes = *AllocatePages(kBytes);
  for (int64_t i = 0; i < kBytes; ++i) bytes.get()[i] = static_cast<uint8_t>(first + i);
  return bytes;
}

class WeightCacheTest : public ::testing::Test {
 protected:
  std::vector<std::string> Files() const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(cache_.dir()))
      names.push_back(entry.path().filename());
    return names;
  }
  void Write(char key, uint8_t first) {
    KEEL_ASSERT_OK(cache_.Write(Key(key), "a model", Bytes(first), kBytes));
    KEEL_ASSERT_OK(cache_.Flush());
  }
  testing::ScratchDir dir_;
  WeightCache cache_{JoinPath(dir_.path(), "a/b")};
};

TEST_F(WeightCacheTest, GivesWhatWasWrittenUnderTheKey) {
  EXPECT_THAT(cache_.Find(Key('a'), kBytes), StatusIs(absl::StatusCode::kNotFound));
  Write('a', 1);
  Write('b', 2);
  for (const auto& [key, first] : {std::pair('a', 1), std::pair('b', 2)}) {
    KEEL_ASSERT_OK_AND_ASSIGN(const auto found, cache_.Find(Key(key), kBytes));
    EXPECT_EQ(std::memcmp(found.get(), Bytes(first).get(), kBytes), 0);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(found.get()) % 64, 0u);
  }
  EXPECT_THAT(Files(), SizeIs(2));
}

TEST_F(WeightCacheTest, WhatIsMappedStaysWhenItsFileIsReplacedOrRemoved) {
  Write('a', 1);
  KEEL_ASSERT_OK_AND_ASSIGN(const auto found, cache_.Find(Key('a'), kBytes));
  Write('a', 5);
  std::filesystem::remove_all(cache_.dir());
  EXPECT_EQ(std::memcmp(found.get(), Bytes(1).get(), kBytes), 0);
}

TEST_F(WeightCacheTest, AFileThatIsCutOrLongerIsRefusedAndRemoved) {
  for (const int64_t size : {int64_t{0}, int64_t{100}, kCacheHeaderBytes,
                             kCacheHeaderBytes + kBytes - 1, kCacheHeaderBytes + kBytes + 1}) {
    Write('a', 1);
    std::filesystem::resize_file(cache_.PathOf(Key('a')), size);
    EXPECT_THAT(cache_.Find(Key('a'), kBytes),
                StatusIs(absl::StatusCode::kDataLoss, HasSubstr(absl::StrCat("has ", size))));
    EXPECT_THAT(cache_.Find(Key('a'), kBytes), StatusIs(absl::StatusCode::kNotFound));
  }
}

TEST_F(WeightCacheTest, AnothersBytesUnderItsNameAreRefused) {
  Write('a', 1);
  std::filesystem::rename(cache_.PathOf(Key('a')), cache_.PathOf(Key('b')));
  EXPECT_THAT(cache_.Find(Key('b'), kBytes), StatusIs(absl::StatusCode::kDataLoss));
}

// Each byte of a header, each bit of it: none is taken that was not written so.
TEST(CacheHeaderTest, AnyChangeIsRefused) {
  const std::string good = CacheHeader(Key('a'), kBytes, "model \"x\"\n");
  const auto check = [&](const std::string& header, const std::string& key, int64_t bytes) {
    return CheckCacheHeader({reinterpret_cast<const uint8_t*>(header.data()), header.size()}, key,
                            bytes);
  };
  ASSERT_THAT(good, SizeIs(kCacheHeaderBytes));
  KEEL_EXPECT_OK(check(good, Key('a'), kBytes));
  EXPECT_FALSE(check(good, Key('b'), kBytes).ok());
  EXPECT_FALSE(check(good, Key('a'), kBytes + 1).ok());
  EXPECT_FALSE(check(good, "a", kBytes).ok());
  EXPECT_FALSE(check("", Key('a'), kBytes).ok());
  EXPECT_FALSE(check(good.substr(1), Key('a'), kBytes).ok());
  for (size_t i = 0; i < good.size(); ++i) {
    std::string changed = good;
    changed[i] = static_cast<char>(changed[i] ^ (1 << i % 8));
    EXPECT_FALSE(check(changed, Key('a'), kBytes).ok()) << "byte " << i;
  }
}

TEST(CacheHeaderTest, NoiseIsRefused) {
  std::mt19937 random(7);
  for (int round = 0; round < 1000; ++round) {
    std::string noise = CacheHeader(Key('a'), kBytes, "");
    for (int n = 1 + static_cast<int>(random() % 64); n > 0; --n)
      noise[random() % noise.size()] = static_cast<char>(random());
    if (noise == CacheHeader(Key('a'), kBytes, "")) continue;
    EXPECT_FALSE(CheckCacheHeader({reinterpret_cast<const uint8_t*>(noise.data()), noise.size()},
                                  Key('a'), kBytes)
                     .ok())
        << "round " << round;
  }
}

TEST(CacheHeaderTest, ALongNoteIsCut) {
  const std::string header = CacheHeader(Key('a'), 1, std::string(10'000, 'x'));
  ASSERT_THAT(header, SizeIs(kCacheHeaderBytes));
  KEEL_EXPECT_OK(CheckCacheHeader({reinterpret_cast<const uint8_t*>(header.data()), header.size()},
                                  Key('a'), 1));
}

TEST_F(WeightCacheTest, WhatAKilledProcessLeftIsRemoved) {
  Write('a', 1);
  std::ofstream(JoinPath(cache_.dir(), "x.packed.AbCdEf.unfinished")) << "half";
  EXPECT_THAT(Files(), SizeIs(2));
  Write('b', 1);
  EXPECT_THAT(Files(), SizeIs(2));
}

TEST_F(WeightCacheTest, WritersDoNotTakeEachOthersFilesForAbandoned) {
  constexpr int kFiles = 100;
  WeightCache other(cache_.dir());
  for (int i = 0; i < kFiles; ++i) {
    KEEL_ASSERT_OK(cache_.Write(Key('a'), "", Bytes(1), kBytes));
    KEEL_ASSERT_OK(other.Write(Key('b'), "", Bytes(1), kBytes));
  }
  KEEL_EXPECT_OK(cache_.Flush());
  KEEL_EXPECT_OK(other.Flush());
  EXPECT_THAT(Files(), SizeIs(2));
}

TEST_F(WeightCacheTest, TheOneUsedLongestAgoMakesRoom) {
  constexpr int64_t kFile = kCacheHeaderBytes + kBytes;
  WeightCache cache(cache_.dir(), 2 * kFile);
  for (const char key : {'a', 'b'}) {
    KEEL_ASSERT_OK(cache.Write(Key(key), "", Bytes(1), kBytes));
    KEEL_ASSERT_OK(cache.Flush());
    std::filesystem::last_write_time(
        cache.PathOf(Key(key)),
        std::filesystem::file_time_type::clock::now() - std::chrono::hours(1));
  }
  KEEL_ASSERT_OK(cache.Find(Key('a'), kBytes).status());  // now b is the oldest
  KEEL_ASSERT_OK(cache.Write(Key('c'), "", Bytes(1), kBytes));
  KEEL_ASSERT_OK(cache.Flush());
  EXPECT_FALSE(IsRegularFile(cache.PathOf(Key('b'))));
  EXPECT_TRUE(IsRegularFile(cache.PathOf(Key('a'))));
  EXPECT_TRUE(IsRegularFile(cache.PathOf(Key('c'))));
}

TEST_F(WeightCacheTest, WhatIsBeingWrittenTakesRoomToo) {
  WeightCache cache(cache_.dir(), (kCacheHeaderBytes + kBytes) * 3 / 2);
  KEEL_ASSERT_OK(cache.Write(Key('a'), "", Bytes(1), kBytes));
  // Refused, or instead of the first if that is on the disk by now.
  cache.Write(Key('b'), "", Bytes(1), kBytes).IgnoreError();
  KEEL_ASSERT_OK(cache.Flush());
  EXPECT_THAT(Files(), SizeIs(1));
}

TEST_F(WeightCacheTest, MoreThanItsShareOfTheDiskIsRefused) {
  EXPECT_THAT(cache_.Write(Key('a'), "", Bytes(1), int64_t{1} << 60),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("a quarter")));
}

TEST_F(WeightCacheTest, WhatGoesWrongBehindTheCallerIsSaidOnce) {
  for (const char key : {'a', 'b'}) {
    std::filesystem::create_directories(JoinPath(cache_.PathOf(Key(key)), "in the way"));
  }
  ::testing::internal::CaptureStderr();
  for (const char key : {'a', 'b'}) KEEL_ASSERT_OK(cache_.Write(Key(key), "", Bytes(1), kBytes));
  EXPECT_FALSE(cache_.Flush().ok());
  const std::string said = ::testing::internal::GetCapturedStderr();
  EXPECT_THAT(said, HasSubstr("--weight-cache: packed weights are not kept"));
  EXPECT_EQ(std::count(said.begin(), said.end(), '\n'), 1) << said;
}

TEST_F(WeightCacheTest, ADirectoryThatCannotBeIsAnError) {
  WeightCache cache(JoinPath(dir_.Write("file", ""), "cache"));
  EXPECT_FALSE(cache.Write(Key('a'), "", Bytes(1), kBytes).ok());
  EXPECT_FALSE(cache.Find(Key('a'), kBytes).ok());
}

TEST(WeightCacheDirTest, IsTheUsersCache) {
  setenv("HOME", "/home/me", 1);
  unsetenv("XDG_CACHE_HOME");
  EXPECT_EQ(WeightCache::DefaultDir(), "/home/me/.cache/keel/weights");
  setenv("XDG_CACHE_HOME", "/caches", 1);
  EXPECT_EQ(WeightCache::DefaultDir(), "/caches/keel/weights");
  unsetenv("XDG_CACHE_HOME");
  unsetenv("HOME");
  EXPECT_EQ(WeightCache::DefaultDir(), "");
}

}  // namespace
}  // namespace keel
