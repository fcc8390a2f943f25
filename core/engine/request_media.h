// The media of a running request: what encoders take, and which of its tokens stand for what.
#ifndef KEEL_CORE_ENGINE_REQUEST_MEDIA_H_
#define KEEL_CORE_ENGINE_REQUEST_MEDIA_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/base/token_range.h"
#include "core/processor/media_prompt.h"
#include "core/tensor/host_tensor.h"

namespace keel {

struct RequestMedia {
  struct Item {
    std::string modality;  // "image"
    std::string hash;      // of its content and of how it was processed
    NamedTensors inputs;   // of its encoder
    MediaTokensSpan span;
  };
  std::string processor;               // who made them: "FooProcessor of libfoo.so"
  std::vector<Item> items;             // in order of the request's
  std::optional<PromptPlaces> places;  // of the prompt's tokens; nullopt: where they stand
  std::vector<TokenRange> groups;      // of tokens that see each other, where the model takes them
};

}  // namespace keel

#endif  // KEEL_CORE_ENGINE_REQUEST_MEDIA_H_
