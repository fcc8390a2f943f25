// What tests need to make checkpoints: scratch directories and safetensors files, well-formed or
// not.
#ifndef KEEL_CORE_CHECKPOINT_TESTING_H_
#define KEEL_CORE_CHECKPOINT_TESTING_H_

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "core/base/file.h"
#include "core/tensor/dtype.h"
#include "gtest/gtest.h"

namespace keel::testing {

// An empty directory of the running test, removed with its content at the end.
class ScratchDir {
 public:
  ScratchDir() {
    const auto* test = ::testing::UnitTest::GetInstance()->current_test_info();
    path_ = JoinPath(::testing::TempDir(),
                     absl::StrCat(test->test_suite_name(), ".", test->name(), ".", Next()));
    std::filesystem::remove_all(path_);
    std::filesystem::create_directories(path_);
  }
  ~ScratchDir() { std::filesystem::remove_all(path_); }
  ScratchDir(const ScratchDir&) = delete;
  ScratchDir& operator=(const ScratchDir&) = delete;

  const std::string& path() const { return path_; }

  // Writes `text` to the file `name`, making its directories; gives its path.
  std::string Write(absl::string_view name, absl::string_view text) const {
    const std::string path = JoinPath(path_, name);
    std::filesystem::create_directories(std::filesystem::path(path).parent_path());
    std::ofstream(path, std::ios::binary) << std::string(text);
    return path;
  }

 private:
  static int Next() {
    static int count = 0;
    return count++;
  }

  std::string path_;
};

// A safetensors file with this header and `data_bytes` bytes 0, 1, 2 ... after it.
inline std::string SafetensorsBytes(absl::string_view header, size_t data_bytes) {
  std::string file;
  for (int shift = 0; shift < 64; shift += 8) {
    file.push_back(static_cast<char>(uint64_t{header.size()} >> shift & 0xff));
  }
  absl::StrAppend(&file, header);
  for (size_t i = 0; i < data_bytes; ++i) file.push_back(static_cast<char>(i));
  return file;
}

struct TensorSpec {
  std::string name;
  DType dtype;
  std::vector<int64_t> shape;
};

// A well-formed file that holds these tensors in this order.
inline std::string SafetensorsBytes(const std::vector<TensorSpec>& tensors) {
  std::vector<std::string> entries = {R"("__metadata__":{"format":"pt"})"};
  int64_t end = 0;
  for (const TensorSpec& tensor : tensors) {
    int64_t elements = 1;
    for (const int64_t size : tensor.shape) elements *= size;
    const int64_t begin = end;
    end += *BytesOfElements(tensor.dtype, elements);
    entries.push_back(absl::StrCat(
        "\"", tensor.name, "\":{\"dtype\":\"", SafetensorsName(tensor.dtype), "\",\"shape\":[",
        absl::StrJoin(tensor.shape, ","), "],\"data_offsets\":[", begin, ",", end, "]}"));
  }
  std::string header = absl::StrCat("{", absl::StrJoin(entries, ","), "}");
  header.resize((header.size() + 7) / 8 * 8, ' ');
  return SafetensorsBytes(header, static_cast<size_t>(end));
}

inline absl::Span<const uint8_t> AsBytes(absl::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

// One to three small edits: a byte replaced, bytes removed, a piece of the text repeated elsewhere,
// a digit changed.
inline std::string Mutate(std::string text, std::mt19937& random) {
  for (int edits = 1 + static_cast<int>(random() % 3); edits > 0 && !text.empty(); --edits) {
    const size_t at = random() % text.size();
    const size_t digit = text.find_first_of("0123456789", at);
    switch (random() % 5) {
      case 0:
        text[at] = static_cast<char>(random());
        break;
      case 1:
        text.erase(at, random() % 8);
        break;
      case 2:
        text.insert(at, text.substr(random() % text.size(), random() % 16));
        break;
      case 3:
        text.resize(at);
        break;
      case 4:
        if (digit != std::string::npos) text[digit] = static_cast<char>('0' + random() % 10);
        break;
    }
  }
  return text;
}

}  // namespace keel::testing

#endif  // KEEL_CORE_CHECKPOINT_TESTING_H_
