// A plugin's processor, called through the ABI as a host calls it, with assets of the kit's: the files
// of one directory, a tokenizer that knows whole tokens only, nearest-neighbour resizing.
#ifndef KEEL_CORE_CONFORMANCE_PROCESSOR_UNDER_TEST_H_
#define KEEL_CORE_CONFORMANCE_PROCESSOR_UNDER_TEST_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "core/plugin/plugin.h"
#include "sdk/abi/plugin.h"

namespace keel::conformance {

// What a call delivered, by key.
struct Delivered {
  struct Tensor {
    uint32_t dtype = 0;
    std::vector<int64_t> dims;
    std::vector<uint8_t> bytes;

    template <typename T>
    std::vector<T> As() const {
      const auto* begin = reinterpret_cast<const T*>(bytes.data());
      return std::vector<T>(begin, begin + bytes.size() / sizeof(T));
    }
  };
  std::map<std::string, std::string> texts;
  std::map<std::string, std::vector<int64_t>> ints;
  std::map<std::string, Tensor> tensors;
};

// An image or samples with the memory that the ABI's structs point to.
class TestMedia {
 public:
  // RGB8, pixel(y, x, channel).
  static TestMedia Image(int64_t height, int64_t width,
                         uint8_t (*pixel)(int64_t, int64_t, int64_t));
  // The same in each frame.
  static TestMedia Video(int64_t frames, int64_t height, int64_t width, double rate,
                         uint8_t (*pixel)(int64_t, int64_t, int64_t));
  static TestMedia Audio(std::vector<float> samples, double rate);
  // Sizes without data, for count.
  static keel_media Sizes(uint32_t modality, int64_t height, int64_t width, int64_t length,
                          double rate = 0);

  keel_media media() const;  // points into this

 private:
  keel_media media_ = {};
  std::vector<uint8_t> bytes_;
  std::vector<float> samples_;
  std::vector<int64_t> shape_, strides_;
  mutable keel_dl_tensor tensor_ = {};
};

class FakeAssets;

class ProcessorUnderTest {
 public:
  ~ProcessorUnderTest();

  // The tokenizer's number of a token, or -1.
  using TokenId = std::function<int64_t(const std::string&)>;

  // The processor of `processor_class`, one of the plugin's, for dir/config.json.
  static absl::StatusOr<std::unique_ptr<ProcessorUnderTest>> Create(
      std::shared_ptr<Plugin> plugin, const keel_processor_class* processor_class,
      const std::string& dir, TokenId token_id);

  const keel_processor_class& functions() const { return *class_; }
  // Images that the processor had resized: "30x40 -> 56x84, filter 3".
  const std::vector<std::string>& resized() const;

  absl::StatusOr<Delivered> Tokens() const;
  // `media` of a count lives as long as this.
  absl::StatusOr<keel_media_count> Count(const keel_media& sizes) const;
  absl::StatusOr<std::vector<keel_media_count>> CountAll(absl::Span<const keel_media> sizes) const;
  absl::StatusOr<Delivered> Preprocess(absl::Span<const keel_media> items) const;
  absl::StatusOr<std::string> Replacement(const keel_media_count& item, uint32_t index) const;
  absl::StatusOr<Delivered> Expand(const std::vector<int64_t>& ids,
                                   const std::vector<keel_media_count>& items) const;
  absl::StatusOr<std::string> Chat(const std::string& conversation) const;
  absl::StatusOr<Delivered> Positions(const std::vector<int64_t>& ids,
                                      const std::vector<keel_media_count>& items) const;

 private:
  ProcessorUnderTest() = default;
  absl::Status Call(const char* function, absl::FunctionRef<keel_status()> call) const;

  std::shared_ptr<Plugin> plugin_;
  std::unique_ptr<FakeAssets> assets_;
  const keel_processor_class* class_ = nullptr;
  void* processor_ = nullptr;
  mutable std::mutex mutex_;
  mutable std::deque<keel_media> counted_;  // under mutex_
};

}  // namespace keel::conformance

#endif  // KEEL_CORE_CONFORMANCE_PROCESSOR_UNDER_TEST_H_
