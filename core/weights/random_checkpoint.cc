#include "core/weights/random_checkpoint.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/randn.h>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string_view>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "core/base/file.h"
#include "core/tensor/aten.h"

namespace keel {
namespace {

void AddTensors(const proto::Declaration& d, const at::Generator& generator,
                std::map<std::string, at::Tensor>* out) {
  const auto random = [&](at::IntArrayRef shape, double scale) {
    return at::randn(shape, generator, at::kFloat) * scale;
  };
  if (d.has_linear()) {
    (*out)[d.name() + ".weight"] = random({d.linear().out(), d.linear().in()}, 0.3);
    if (d.linear().bias()) (*out)[d.name() + ".bias"] = random({d.linear().out()}, 0.3);
  } else if (d.has_embedding()) {
    (*out)[d.name() + ".weight"] = random({d.embedding().rows(), d.embedding().size()}, 1.0);
  } else if (d.has_norm() && !d.norm().no_weight()) {
    (*out)[d.name() + ".weight"] = random({d.norm().size()}, 0.3) + 1.0;
    if (d.norm().bias()) (*out)[d.name() + ".bias"] = random({d.norm().size()}, 0.3);
  } else if (d.has_moe()) {
    const proto::Moe& moe = d.moe();
    const auto matrices = [&](const std::string& part, int64_t rows, int64_t columns) {
      for (int64_t e = 0; e < moe.experts() && !part.empty(); ++e) {
        const std::string name =
            absl::StrCat(d.name(), ".", absl::StrReplaceAll(part, {{"{e}", absl::StrCat(e)}}));
        (*out)[name + ".weight"] = random({rows, columns}, 0.3);
        if (moe.bias()) (*out)[name + ".bias"] = random({rows}, 0.3);
      }
    };
    matrices(moe.gate(), moe.intermediate_size(), moe.hidden_size());
    matrices(moe.up(), moe.intermediate_size(), moe.hidden_size());
    matrices(moe.down(), moe.hidden_size(), moe.intermediate_size());
    if (!moe.score_bias().empty())
      (*out)[absl::StrCat(d.name(), ".", moe.score_bias())] = random({moe.experts()}, 0.3);
  } else if (d.has_conv()) {
    std::vector<int64_t> shape = {d.conv().out(), d.conv().in() / d.conv().groups()};
    shape.insert(shape.end(), d.conv().kernel().begin(), d.conv().kernel().end());
    (*out)[d.name() + ".weight"] = random(shape, 0.3);
    if (d.conv().bias()) (*out)[d.name() + ".bias"] = random({d.conv().out()}, 0.3);
  } else if (d.has_param()) {
    std::vector<int64_t> shape;
    for (const proto::Dim& dim : d.param().type().dims()) shape.push_back(dim.size());
    (*out)[d.name()] = random(shape, 0.3);
  }
}

// The layout of https://github.com/huggingface/safetensors: the header's size, the header, the data.
std::string SafetensorsFileOf(const std::map<std::string, at::Tensor>& tensors, DType dtype) {
  boost::json::object header;
  std::string data;
  for (const auto& [name, tensor] : tensors) {
    const at::Tensor stored = tensor.to(*ToScalarType(dtype)).contiguous();
    const size_t begin = data.size();
    data.append(static_cast<const char*>(stored.const_data_ptr()), stored.nbytes());
    const absl::string_view type = SafetensorsName(dtype);
    header[name] = {{"dtype", std::string_view(type.data(), type.size())},
                    {"shape", boost::json::array(stored.sizes().begin(), stored.sizes().end())},
                    {"data_offsets", {begin, data.size()}}};
  }
  std::string text = boost::json::serialize(header);
  text.resize((text.size() + 7) / 8 * 8, ' ');
  std::string file;
  for (int shift = 0; shift < 64; shift += 8) {
    file.push_back(static_cast<char>(uint64_t{text.size()} >> shift & 0xff));
  }
  return file + text + data;
}

}  // namespace

std::map<std::string, at::Tensor> RandomTensors(const proto::Graph& graph, int seed) {
  const at::Generator generator = at::make_generator<at::CPUGeneratorImpl>(seed);
  std::map<std::string, at::Tensor> tensors;
  for (const proto::Declaration& d : graph.declarations()) AddTensors(d, generator, &tensors);
  proto::Declaration embed, head;
  embed.set_name(graph.spec().embed_tokens());
  embed.mutable_embedding()->set_rows(graph.spec().vocab_size());
  embed.mutable_embedding()->set_size(graph.spec().hidden_size());
  head.set_name(graph.spec().lm_head());
  head.mutable_linear()->set_in(graph.spec().hidden_size());
  head.mutable_linear()->set_out(graph.spec().vocab_size());
  AddTensors(embed, generator, &tensors);
  AddTensors(head, generator, &tensors);
  return tensors;
}

absl::StatusOr<std::unique_ptr<Checkpoint>> WriteCheckpoint(
    const std::string& dir, const std::map<std::string, at::Tensor>& tensors, DType dtype) {
  std::error_code ignored;  // Open says what is missing
  std::filesystem::create_directories(dir, ignored);
  std::ofstream(JoinPath(dir, "config.json")) << "{}";
  std::ofstream(JoinPath(dir, "model.safetensors"), std::ios::binary)
      << SafetensorsFileOf(tensors, dtype);
  return Checkpoint::Open(dir);
}

}  // namespace keel
