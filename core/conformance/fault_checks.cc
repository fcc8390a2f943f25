// Group X: ops that fail, and models made and destroyed a thousand times.
#include <malloc.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "core/config/config_view.h"
#include "core/conformance/graph_checks.h"
#include "core/conformance/process_state.h"
#include "core/conformance/subject.h"
#include "core/graph/recorder.h"

namespace keel::conformance {
namespace {

// Fails at op number `fails_at`, counted over all functions of a recording.
class FailingRecorder : public Recorder {
 public:
  FailingRecorder(const proto::Graph& graph, std::string function, int64_t* ops, int64_t fails_at)
      : Recorder(graph, std::move(function)), ops_(ops), fails_at_(fails_at) {}

  keel_tensor Append(proto::Node node, const keel_tensor* inputs, size_t num_inputs) override {
    if ((*ops_)++ == fails_at_) {
      Fail(node, "fails on purpose: the conformance kit tries each op in turn");
      return 0;
    }
    return Recorder::Append(std::move(node), inputs, num_inputs);
  }

 private:
  int64_t* const ops_;
  const int64_t fails_at_;
};

// Records the functions of `declared` with op `fails_at` failing; gives the number of ops.
int64_t RecordFailing(ModelSource source, const RecordedModel& declared, int64_t fails_at,
                      absl::Status* status) {
  int64_t ops = 0;
  source.make_recorder = [&](const proto::Graph& graph, std::string function) {
    return std::make_unique<FailingRecorder>(graph, std::move(function), &ops, fails_at);
  };
  *status = RecordFunctions(source, declared).status();
  return ops;
}

}  // namespace

Finding CheckOpsThatFail(const Subject& subject) {
  constexpr int64_t kMaxTries = 500;
  return ForEachModel(subject, [&](ModelUnderTest& model) {
    const Stages stages = Record(model);
    if (!stages.record.ok() || !stages.status().ok()) {
      return Skip(std::string(stages.status().message()));
    }
    absl::Status status;
    const int64_t ops = RecordFailing(model.source, stages.model, -1, &status);
    const int64_t stride = std::max<int64_t>(1, ops / kMaxTries);
    for (int64_t op = 0; op < ops; op += stride) {
      Trying(absl::StrCat("op ", op, " of ", ops, " fails"));
      RecordFailing(model.source, stages.model, op, &status);
      if (status.ok()) return Fail(absl::StrCat("op ", op, " failed, the recording did not"));
    }
    return Pass();
  });
}

Finding CheckCreateAndDestroy(const Subject& subject) {
  constexpr int kRounds = 1000, kWarm = 100;
  constexpr absl::Duration kLongEnough = absl::Seconds(4);
  constexpr int64_t kAllowedBytes = 256 << 10;
  return ForEachModel(subject, [&](ModelUnderTest& model) {
    ConfigDocument first(model.config, "config.json");
    const auto spec = RecordSpec(model.source, first);
    if (!spec.ok()) return Skip(std::string(spec.status().message()));
    const absl::Time start = absl::Now();
    int64_t warm = 0;
    int round = 0;
    for (; round < kRounds && (round <= kWarm || absl::Now() - start < kLongEnough); ++round) {
      ConfigDocument document(model.config, "config.json");  // keeps the views that create asks for
      const auto declared = RecordDeclarations(model.source, document, model.config.get_object(),
                                               "config.json", *spec);
      if (!declared.ok() && round == 0) return Skip(std::string(declared.status().message()));
      if (!declared.ok()) {
        return Fail(absl::StrCat("model ", round, " of one config: ", declared.status().message()));
      }
      if (round == kWarm) warm = (malloc_trim(0), ResidentBytes());
    }
    malloc_trim(0);
    const int64_t grown = ResidentBytes() - warm;
    if (grown <= kAllowedBytes) return Pass();
    return Fail(absl::StrCat("the process grew by ", grown >> 10, " KiB over ", round - kWarm,
                             " models; free in destroy what create took"));
  });
}

}  // namespace keel::conformance
