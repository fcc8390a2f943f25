#include "core/conformance/host_tables.h"

#include <unistd.h>

#include <algorithm>
#include <boost/json/object.hpp>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>
#include <utility>

#include "core/config/config_view.h"
#include "core/config/spec_builder.h"
#include "core/graph/declare.h"
#include "core/graph/features.h"
#include "core/graph/recorder.h"

namespace keel::conformance {
namespace {

// Entries take other arguments and give other results; the calling convention lets this one stand
// for any of them, since it reads none and never returns.
void Poison() {
  std::fputs("called an entry beyond the struct_size of a table\n", stdout);
  std::fflush(stdout);
  _exit(kPoisonExit);
}

uint64_t PoisonWord() {
  const auto poison = &Poison;
  uint64_t word = 0;
  static_assert(sizeof(word) == sizeof(poison));
  std::memcpy(&word, &poison, sizeof(word));
  return word;
}

// The size that a table had when its interface was first released.
constexpr size_t kFirstConfig = sizeof(keel_config_api);
constexpr size_t kFirstFeatures = sizeof(keel_features_api);
constexpr size_t kFirstSpec = offsetof(keel_spec_api, ep_plan);
constexpr size_t kFirstBuild = sizeof(keel_build_api);
constexpr size_t kFirstOps = offsetof(keel_ops, compare);

const keel_build_api& BuildApi() {
  static const keel_build_api* api = [] {
    proto::Graph graph;
    const boost::json::object config;
    return Declarer(&graph, config, "").api;
  }();
  return *api;
}

const keel_ops& Ops() {
  static const keel_ops* ops = [] {
    const proto::Graph graph;
    return Recorder(graph, "").ops;
  }();
  return *ops;
}

class OtherRecorder : public Recorder {
 public:
  OtherRecorder(const proto::Graph& graph, std::string function, const keel_ops* table)
      : Recorder(graph, std::move(function)) {
    ops = table;
  }
};

}  // namespace

TableCopy::TableCopy(const void* table, size_t copied, size_t total, size_t shown)
    : words_(total / sizeof(uint64_t), PoisonWord()) {
  std::memcpy(words_.data(), table, copied);
  const auto size = static_cast<uint32_t>(shown);
  std::memcpy(words_.data(), &size, sizeof(size));  // struct_size comes first in every table
}

TableCopy TableCopy::Shorter(const void* table, size_t size, size_t shown) {
  return TableCopy(table, shown, size, shown);
}

TableCopy TableCopy::Longer(const void* table, size_t size) {
  const size_t longer = size + 4 * sizeof(uint64_t);
  return TableCopy(table, size, longer, longer);
}

TableCopy TableCopy::Without(const void* table, size_t size, size_t offset) {
  TableCopy copy(table, size, size, size);
  if (offset < size) copy.words_[offset / sizeof(uint64_t)] = 0;
  return copy;
}

TableCopy OtherHost::Copy(const void* table, size_t size, size_t first_size) {
  switch (age_) {
    case Age::kOldest:
      return TableCopy::Shorter(table, size, first_size);
    case Age::kFuture:
      return TableCopy::Longer(table, size);
    case Age::kThis:
      break;
  }
  const size_t optional = (size - first_size) / sizeof(uint64_t);
  const size_t offset =
      without_ < optional ? first_size + without_ * sizeof(uint64_t) : size;  // or in no table yet
  without_ = without_ < optional ? SIZE_MAX : without_ - optional;
  return TableCopy::Without(table, size, offset);
}

OtherHost::OtherHost(Age age) : OtherHost(age, SIZE_MAX) {}

OtherHost OtherHost::Without(size_t entry) { return OtherHost(Age::kThis, entry); }

size_t OtherHost::NumOptionalEntries() {
  return (sizeof(keel_spec_api) - kFirstSpec + sizeof(keel_ops) - kFirstOps) / sizeof(uint64_t);
}

OtherHost::OtherHost(Age age, size_t without)
    : age_(age),
      without_(without),
      config_(Copy(&ConfigApi(), sizeof(keel_config_api), kFirstConfig)),
      features_(Copy(&FeaturesApi(), sizeof(keel_features_api), kFirstFeatures)),
      spec_(Copy(&SpecApi(), sizeof(keel_spec_api), kFirstSpec)),
      build_(Copy(&BuildApi(), sizeof(keel_build_api), kFirstBuild)),
      ops_(Copy(&Ops(), sizeof(keel_ops), kFirstOps)) {
  interfaces_.Add("keel.config/1", config_.get());
  interfaces_.Add("keel.features/1", features_.get());
  interfaces_.Add("keel.spec/1", spec_.get());
}

void OtherHost::Serve(ModelSource& source) const {
  source.build_api = static_cast<const keel_build_api*>(build_.get());
  source.make_recorder = [this](const proto::Graph& graph, std::string function) {
    return std::make_unique<OtherRecorder>(graph, std::move(function),
                                           static_cast<const keel_ops*>(ops_.get()));
  };
}

}  // namespace keel::conformance
