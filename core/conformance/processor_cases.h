// A plugin's processors with the media that each takes.
#ifndef KEEL_CORE_CONFORMANCE_PROCESSOR_CASES_H_
#define KEEL_CORE_CONFORMANCE_PROCESSOR_CASES_H_

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "core/conformance/check.h"
#include "core/conformance/processor_under_test.h"
#include "core/graph/graph.pb.h"
#include "core/tensor/host_tensor.h"

namespace keel::conformance {

// One modality of a processor.
struct ProcessorCase {
  const ProcessorUnderTest& processor;
  uint32_t modality;                        // KEEL_MODALITY_*
  std::string name;                         // "image"
  std::string token = "";                   // what a prompt holds
  int64_t placeholder = -1;                 // its id in a prompt
  int64_t feature = -1;                     // the id that features replace, often the same
  std::set<int64_t> ids = {};               // the modality's, the feature's among them
  std::vector<int64_t> text = {};           // some ids of no modality's
  std::vector<TestMedia> items = {};        // of ordinary sizes, those that it takes
  const proto::Graph* graph = nullptr;      // the model's, or null
  const proto::Function* encode = nullptr;  // its tower for them, or null
  int64_t rows_per_feature = 1;             // that it gives

  // A prompt with a placeholder for each of so many items, text around them.
  std::vector<int64_t> Prompt(size_t items) const;
};

// The tensors that a call delivered, as a host gives them to an encoder.
absl::StatusOr<NamedTensors> TensorsOf(const Delivered& delivered);

// The sizes of media, without the data: what count gets.
keel_media SizesOf(const TestMedia& media);
// An image, a video's frame, or a sound of so many samples; what the kit shows to processors.
TestMedia MakeMedia(uint32_t modality, int64_t height, int64_t width, int64_t length);

// Runs `check` on each modality of each processor with each config; skips without a config.
Finding ForEachProcessor(const Subject& subject,
                         absl::FunctionRef<Finding(const ProcessorCase&)> check);

}  // namespace keel::conformance

#endif  // KEEL_CORE_CONFORMANCE_PROCESSOR_CASES_H_
