// Damaged images, sounds and clips, through jailed children: each one is an error or pixels, and this
// process lives. Seeded: a failure comes again. An argument is how many there are (default: what takes
// about a second); `media_fuzz_test 20000` is a campaign.
#include <zlib.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <iterator>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "core/base/status_matchers.h"
#include "core/media/media_goldens.h"
#include "core/media/media_pool.h"
#include "gtest/gtest.h"

namespace keel {
namespace {

using ::keel::testing::MediaBytes;
using ::keel::testing::MediaGoldens;

int g_rounds = 400;  // of the command line

enum class Kind { kImage, kVideo, kAudio };

struct Seed {
  std::string name;
  Kind kind;
  std::string bytes;
};

// A damaged PNG with checksums that fit it again, so that more than they is tried.
std::string WithChecksums(std::string png) {
  constexpr size_t kSignature = 8, kAround = 12;  // length, kind and checksum of a chunk
  for (size_t at = kSignature; png.size() >= at + kAround;) {
    const auto* bytes = reinterpret_cast<const uint8_t*>(png.data()) + at;
    const size_t n = size_t{bytes[0]} << 24 | bytes[1] << 16 | bytes[2] << 8 | bytes[3];
    if (n > png.size() - at - kAround) break;
    const uint32_t sum = static_cast<uint32_t>(crc32(0, bytes + 4, static_cast<uInt>(n + 4)));
    for (size_t i = 0; i < 4; ++i) png[at + 8 + n + i] = static_cast<char>(sum >> (24 - 8 * i));
    at += kAround + n;
  }
  return png;
}

class Mutator {
 public:
  std::string Damaged(std::string bytes) {
    const int times = 1 + static_cast<int>(Below(8));
    for (int i = 0; i < times && !bytes.empty(); ++i) DamageOnce(bytes);
    const bool png = absl::StartsWith(bytes, "\x89PNG");
    return png && Below(4) != 0 ? WithChecksums(std::move(bytes)) : bytes;
  }
  size_t Below(size_t n) { return std::uniform_int_distribution<size_t>(0, n - 1)(random_); }

 private:
  // Headers are where the structure is: half of the places are there.
  size_t Place(size_t n) { return Below(Below(2) == 0 ? std::min<size_t>(n, 64) : n); }

  void DamageOnce(std::string& bytes) {
    const size_t at = Place(bytes.size());
    const size_t n = std::min(bytes.size() - at, 1 + Below(16));
    switch (Below(6)) {
      case 0:
        bytes[at] = static_cast<char>(bytes[at] ^ (1 << Below(8)));
        break;
      case 1:
        for (size_t i = at; i < at + n; ++i) bytes[i] = static_cast<char>(Below(256));
        break;
      case 2:  // numbers at their limits
        bytes.replace(at, n, n, Below(2) == 0 ? '\xff' : '\0');
        break;
      case 3:
        bytes.erase(at, n);
        break;
      case 4:
        bytes.insert(at, bytes.substr(Place(bytes.size()), n));
        break;
      default:
        if (Below(4) == 0) bytes.resize(at);
        break;
    }
  }

  std::mt19937 random_{20261130};
};

std::vector<Seed> Seeds() {
  std::vector<Seed> seeds;
  const std::pair<const char*, Kind> goldens[] = {
      {"images.json", Kind::kImage}, {"clips.json", Kind::kVideo}, {"sounds.json", Kind::kAudio}};
  for (const auto& [file, kind] : goldens) {
    for (const auto& [name, golden] : MediaGoldens(file))
      seeds.push_back({std::string(name), kind, MediaBytes(std::string(name))});
  }
  return seeds;
}

absl::Status Decode(MediaPool& pool, Kind kind, const std::string& bytes) {
  constexpr int64_t kPixels = 1 << 20;
  switch (kind) {
    case Kind::kImage:
      return pool.DecodeImage(bytes, {.max_pixels = kPixels}).status();
    case Kind::kVideo:
      return pool.DecodeVideo(bytes, {.sampling = {.num_frames = 2}, .max_pixels = kPixels})
          .status();
    case Kind::kAudio:
      return pool.DecodeAudio(bytes, {.rate = 8000, .max_seconds = 10}).status();
  }
  return absl::InternalError("no kind");
}

TEST(MediaFuzzTest, DamagedMediaAreAnErrorOrPixels) {
  KEEL_ASSERT_OK_AND_ASSIGN(const auto pool, MediaPool::Create({}));
  const std::vector<Seed> seeds = Seeds();
  Mutator mutator;
  int decoded = 0, ended = 0;
  for (int round = 0; round < g_rounds; ++round) {
    const Seed& seed = seeds[mutator.Below(seeds.size())];
    const absl::Status status = Decode(*pool, seed.kind, mutator.Damaged(seed.bytes));
    decoded += status.ok();
    const bool known =
        status.ok() || absl::IsInvalidArgument(status) || absl::IsResourceExhausted(status);
    EXPECT_TRUE(known) << "round " << round << ", " << seed.name << ": " << status;
    if (!absl::StrContains(status.message(), "in its jail")) continue;
    ++ended;
    std::printf("round %d, %s: %s\n", round, seed.name.c_str(), status.ToString().c_str());
    // That would not be the file's fault.
    EXPECT_FALSE(absl::StrContains(status.message(), "a jail does not allow")) << status;
  }
  std::printf("%d of %d decoded, %d ended their child\n", decoded, g_rounds, ended);
  EXPECT_GT(decoded, 0);
  EXPECT_LT(decoded, g_rounds);
  // The pool goes on as before.
  for (const Seed& seed : {seeds.front(), seeds.back()})
    KEEL_EXPECT_OK(Decode(*pool, seed.kind, seed.bytes)) << seed.name;
}

}  // namespace
}  // namespace keel

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  if (argc > 1) keel::g_rounds = std::atoi(argv[1]);
  return RUN_ALL_TESTS();
}
