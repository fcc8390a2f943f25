#include "core/checkpoint/safetensors.h"

#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/base/status_matchers.h"
#include "core/checkpoint/testing.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel {
namespace {

using ::testing::AllOf;
using testing::AsBytes;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::IsNull;
using testing::IsOk;
using testing::SafetensorsBytes;
using testing::ScratchDir;
using ::testing::StartsWith;
using testing::StatusIs;
constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

absl::StatusOr<std::vector<TensorView>> Parse(absl::string_view file) {
  return ParseSafetensors(AsBytes(file), "m.safetensors");
}

// What the reader says about this header before `data_bytes` bytes.
absl::Status Refusal(absl::string_view header, size_t data_bytes) {
  return Parse(SafetensorsBytes(header, data_bytes)).status();
}

TEST(SafetensorsTest, ViewsTensorsInTheOrderOfTheirBytes) {
  const std::string file = SafetensorsBytes(
      R"({"b":{"dtype":"BF16","shape":[2],"data_offsets":[8,12]},"__metadata__":{"format":"pt"},)"
      R"("a":{"dtype":"F32","shape":[1,2],"data_offsets":[0,8]},)"
      R"("none":{"dtype":"F32","shape":[0,4],"data_offsets":[8,8]},)"
      R"("scalar":{"dtype":"U8","shape":[],"data_offsets":[12,13]}}  )",
      13);
  KEEL_ASSERT_OK_AND_ASSIGN(const std::vector<TensorView> tensors, Parse(file));
  std::vector<std::string> names;
  for (const TensorView& tensor : tensors) names.push_back(tensor.name);
  EXPECT_THAT(names, ElementsAre("a", "none", "b", "scalar"));
  EXPECT_EQ(tensors[2].ToString(), "bfloat16 [2]");
  EXPECT_EQ(tensors[2].elements(), 2);
  EXPECT_THAT(tensors[2].span(), ElementsAre(8, 9, 10, 11));
  EXPECT_THAT(tensors[0].shape, ElementsAre(1, 2));
  EXPECT_THAT(tensors[3].shape, IsEmpty());
  EXPECT_EQ(tensors[3].elements(), 1);
  EXPECT_THAT(tensors[1].span(), IsEmpty());
}

TEST(SafetensorsTest, TakesAFileWithoutTensors) { EXPECT_THAT(Refusal("{}", 0), IsOk()); }

TEST(SafetensorsTest, RefusesWhatIsNoSafetensorsFile) {
  EXPECT_THAT(Parse(""), StatusIs(kInvalid, HasSubstr("it has 0 bytes")));
  EXPECT_THAT(Parse("1234567"), StatusIs(kInvalid, HasSubstr("it has 7 bytes")));
  EXPECT_THAT(Parse(std::string(8, '\0')), StatusIs(kInvalid, HasSubstr("begin with '{'")));
  EXPECT_THAT(Refusal(" {}", 0), StatusIs(kInvalid, HasSubstr("begin with '{'")));
  EXPECT_THAT(Parse("version https://git-lfs.github.com/spec/v1"),
              StatusIs(kInvalid, StartsWith("m.safetensors: no safetensors file")));
}

TEST(SafetensorsTest, RefusesAHugeHeaderLength) {
  EXPECT_THAT(Parse(std::string(8, '\xff') + "{}"),
              StatusIs(kInvalid, HasSubstr("length is 18446744073709551615, at most 100000000")));
  std::string file = SafetensorsBytes("{}", 0);
  file[0] = 3;
  EXPECT_THAT(Parse(file), StatusIs(kInvalid, HasSubstr("header has 3 bytes, the file holds only "
                                                        "2 of them; it was cut short")));
}

TEST(SafetensorsTest, NamesTheTensorThatATruncatedFileLacks) {
  EXPECT_THAT(Refusal(R"({"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", 7),
              StatusIs(kInvalid,
                       "m.safetensors: tensor w: its data ends at byte 8, the file "
                       "holds only 7; it was cut short, download it again"));
}

TEST(SafetensorsTest, RefusesOverlapsHolesAndRests) {
  constexpr char kTwo[] = R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},)"
                          R"("b":{"dtype":"U8","shape":[4],"data_offsets":[%d,%d]}})";
  const auto header = [&](int begin) { return absl::StrFormat(kTwo, begin, begin + 4); };
  EXPECT_THAT(Refusal(header(4), 8), IsOk());
  EXPECT_THAT(Refusal(header(3), 7),
              StatusIs(kInvalid, AllOf(HasSubstr("tensor b: its data begins at byte 3"),
                                       HasSubstr("overlaps the tensor before it"))));
  EXPECT_THAT(Refusal(header(0), 4), StatusIs(kInvalid, HasSubstr("overlaps")));
  EXPECT_THAT(Refusal(header(5), 9), StatusIs(kInvalid, HasSubstr("tensor b: its data begins at "
                                                                  "byte 5, expected 4; there is "
                                                                  "a hole before it")));
  EXPECT_THAT(Refusal(header(4), 9),
              StatusIs(kInvalid,
                       "m.safetensors: the tensors end at byte 8 of the data, the file "
                       "has 9"));
  EXPECT_THAT(Refusal(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}})", 2),
              StatusIs(kInvalid, HasSubstr("hole")));
}

TEST(SafetensorsTest, RefusesShapesThatDoNotFitTheirBytes) {
  const auto refusal = [](absl::string_view dtype, absl::string_view shape) {
    return Refusal(absl::StrCat(R"({"w":{"dtype":")", dtype, R"(","shape":)", shape,
                                R"(,"data_offsets":[0,8]}})"),
                   8);
  };
  EXPECT_THAT(refusal("F32", "[2]"), IsOk());
  EXPECT_THAT(refusal("F32", "[3]"),
              StatusIs(kInvalid,
                       "m.safetensors: tensor w: float32 [3] needs 12 bytes, "
                       "data_offsets give 8"));
  EXPECT_THAT(refusal("F4", "[15]"), StatusIs(kInvalid, HasSubstr("not a whole number of bytes")));
  EXPECT_THAT(refusal("F4", "[16]"), IsOk());
  // 2^32 x 2^32 x 2 bytes would wrap to 0, and 2^61 + 1 float64 to 8.
  EXPECT_THAT(refusal("BF16", "[4294967296,4294967296]"), StatusIs(kInvalid, HasSubstr("large")));
  EXPECT_THAT(refusal("F64", "[2305843009213693953]"), StatusIs(kInvalid, HasSubstr("large")));
  EXPECT_THAT(refusal("F64", "[9223372036854775807,2,0]"), StatusIs(kInvalid, HasSubstr("large")));
  EXPECT_THAT(refusal("F32", "[-2]"),
              StatusIs(kInvalid,
                       "m.safetensors: tensor w: shape[0] is -2, expected an integer of "
                       "at least 0"));
  EXPECT_THAT(refusal("F32", "[2.0]"), StatusIs(kInvalid, HasSubstr("shape[0] is 2E0")));
  EXPECT_THAT(refusal("F32", "[18446744073709551615]"), StatusIs(kInvalid, HasSubstr("shape[0]")));
  EXPECT_THAT(refusal("F31", "[2]"), StatusIs(kInvalid, HasSubstr("dtype \"F31\" is not known")));
}

TEST(SafetensorsTest, RefusesMalformedEntries) {
  EXPECT_THAT(Refusal("{\"w\":1}", 0),
              StatusIs(kInvalid, HasSubstr("tensor w: is an integer, expected an object")));
  EXPECT_THAT(Refusal("{\"w\":{}}", 0), StatusIs(kInvalid, HasSubstr("dtype is missing")));
  EXPECT_THAT(Refusal(R"({"w":{"dtype":"U8","shape":[1]}})", 1),
              StatusIs(kInvalid, HasSubstr("data_offsets is missing")));
  EXPECT_THAT(Refusal(R"({"w":{"dtype":"U8","shape":[1],"data_offsets":[1,0]}})", 1),
              StatusIs(kInvalid, HasSubstr("data_offsets is [1, 0], expected")));
  EXPECT_THAT(Refusal(R"({"w":{"dtype":"U8","shape":[1],"data_offsets":[0,1,2]}})", 1),
              StatusIs(kInvalid, HasSubstr("data_offsets is [0, 1, 2], expected")));
  EXPECT_THAT(Refusal(R"({"__metadata__":{"format":1}})", 0),
              StatusIs(kInvalid, HasSubstr("__metadata__: \"format\" is an integer")));
  EXPECT_THAT(Refusal("{\"w\":", 0), StatusIs(kInvalid, StartsWith("m.safetensors: header:1:6: ")));
}

TEST(SafetensorsTest, RefusesARepeatedName) {
  constexpr char kEntry[] = R"("w":{"dtype":"U8","shape":[1],"data_offsets":[0,1]})";
  EXPECT_THAT(Refusal(absl::StrCat("{", kEntry, ",", kEntry, "}"), 1),
              StatusIs(kInvalid, HasSubstr("the key \"w\" appears twice")));
}

TEST(SafetensorsTest, OpensAFileAndKeepsViewsWhenItMoves) {
  const ScratchDir dir;
  const std::string path = dir.Write(
      "m.safetensors", SafetensorsBytes({{"a", DType::kF32, {2, 2}}, {"b", DType::kBF16, {3}}}));
  KEEL_ASSERT_OK_AND_ASSIGN(SafetensorsFile opened, SafetensorsFile::Open(path));
  const TensorView* view = opened.Find("b");
  const SafetensorsFile file = std::move(opened);
  EXPECT_EQ(file.Find("b"), view);
  EXPECT_THAT(view->span(), ElementsAre(16, 17, 18, 19, 20, 21));
  EXPECT_THAT(file.Find("c"), IsNull());
}

TEST(SafetensorsTest, FileErrorsNameThePath) {
  const ScratchDir dir;
  const std::string path = dir.Write("m.safetensors", "short");
  EXPECT_THAT(SafetensorsFile::Open(path), StatusIs(kInvalid, StartsWith(path)));
  EXPECT_THAT(SafetensorsFile::Open(path + "x"),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr(path + "x")));
}

TEST(SafetensorsTest, WhatAMutatedFileOpensLiesWithinIt) {
  const std::string valid = SafetensorsBytes({{"model.embed", DType::kBF16, {4, 3}},
                                              {"norm", DType::kF32, {3}},
                                              {"none", DType::kI64, {0}},
                                              {"mx", DType::kF4E2M1, {2, 8}}});
  int opened = 0;
  for (unsigned seed = 0; seed < 5000; ++seed) {
    SCOPED_TRACE(absl::StrCat("seed ", seed));
    std::mt19937 random(seed);
    std::string file = testing::Mutate(valid, random);
    if (seed % 2 == 0 &&
        file.size() > 8) {  // Half of them with a length that fits the header again.
      const size_t end = file.rfind('}');
      if (end != std::string::npos && end > 8) {
        for (int i = 0; i < 8; ++i) file[i] = static_cast<char>((end - 7) >> (8 * i) & 0xff);
      }
    }
    // Exactly as long as the file, so that a sanitizer sees a read behind it.
    const std::vector<uint8_t> bytes(file.begin(), file.end());
    const absl::StatusOr<std::vector<TensorView>> tensors = ParseSafetensors(bytes, "m");
    if (!tensors.ok()) {
      EXPECT_THAT(tensors, StatusIs(kInvalid, StartsWith("m: ")));
      continue;
    }
    ++opened;
    size_t total = 0;
    for (const TensorView& tensor : *tensors) {
      EXPECT_GE(tensor.data, bytes.data());
      EXPECT_LE(tensor.data + tensor.bytes, bytes.data() + bytes.size());
      EXPECT_EQ(BytesOfElements(tensor.dtype, tensor.elements()), tensor.bytes);
      total += tensor.bytes;
    }
    EXPECT_LE(total, bytes.size());
  }
  EXPECT_GT(opened, 0);
}

}  // namespace
}  // namespace keel
