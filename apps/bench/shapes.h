// Checkpoints of well-known models' shapes with random weights: speed depends on sizes, not on values, so nothing has to
// be downloaded to measure it.
#ifndef KEEL_APPS_BENCH_SHAPES_H_
#define KEEL_APPS_BENCH_SHAPES_H_

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "boost/json/object.hpp"
#include "core/kernels/linear_pass.h"
#include "sdk/keel/engine.h"

namespace keel::apps {

// "qwen2.5-0.5b" ...
std::vector<std::string> ShapeNames();

// A tensor of a decoder's checkpoint.
struct ShapeTensor {
  std::string name;
  std::vector<int64_t> sizes;

  int64_t numel() const;
};
// What a checkpoint of this config.json holds: Llama, Qwen2, Qwen3 or Qwen3-MoE.
std::vector<ShapeTensor> ShapeTensors(const boost::json::object& config);

// The linears of one of its layers, those of one input as one, and its head. UNIMPLEMENTED for mixtures of experts.
struct ShapeLinears {
  std::vector<LinearShape> layer;
  LinearShape head;
};
Result<ShapeLinears> LinearsOfShape(std::string_view name);

// `done` of `total` bytes are written.
using OnBytes = std::function<void(int64_t done, int64_t total)>;

// Writes config.json, a tokenizer of made-up tokens and model.safetensors (bf16; norms are 1, the rest normal with a
// deviation of 0.02, the same in each run) into `directory`, which is made.
Status WriteShape(const boost::json::object& config, const std::string& directory,
                  const OnBytes& on_bytes);

// The directory with the checkpoint of `name`, one of ShapeNames: $XDG_CACHE_HOME/keel/shapes/<name>, or below ~/.cache.
// Written when it is not there yet.
Result<std::string> ShapeDirectory(std::string_view name, const OnBytes& on_bytes);

}  // namespace keel::apps

#endif  // KEEL_APPS_BENCH_SHAPES_H_
