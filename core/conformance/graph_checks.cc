#include "core/conformance/graph_checks.h"

#include <algorithm>
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "core/base/child_process.h"
#include "core/base/sha256.h"
#include "core/config/config_view.h"
#include "core/conformance/subject.h"
#include "core/graph/pp_plan.h"
#include "core/graph/rows.h"
#include "core/graph/sharding.h"

namespace keel::conformance {
namespace {

absl::Span<const uint8_t> AsBytes(const std::string& text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

std::string Text(const absl::Status& status) { return std::string(status.message()); }

// The recorder's words for an answer that no recording has (core/graph/recorder.cc).
bool AsksForANumber(const absl::Status& status) {
  return absl::StrContains(status.message(), "has no value in a recorded graph");
}

// Of an unverified graph: the first function whose rows mix.
absl::Status RowsMix(const Stages& stages) {
  if (stages.verify.ok()) return absl::OkStatus();
  for (const proto::Function& function : stages.model.graph.functions()) {
    if (absl::StartsWith(function.name(), "encode/")) continue;
    const absl::Status rows = CheckRowsDontMix(stages.model.graph, function);
    // The verifier may have stopped before it came to rows; only its own word counts.
    if (!rows.ok() && absl::StrContains(stages.verify.message(), rows.message())) return rows;
  }
  return absl::OkStatus();
}

// Goes on with a model whose graph is recorded and verified; skips another.
Finding ForEachGraph(const Subject& subject,
                     absl::FunctionRef<Finding(ModelUnderTest&, const Stages&)> check) {
  return ForEachModel(subject, [&](ModelUnderTest& model) {
    const Stages stages = Record(model);
    if (!stages.status().ok()) return Skip(Text(stages.status()));
    return check(model, stages);
  });
}

}  // namespace

Finding CheckDeclares(const Subject& subject) {
  return ForEachModel(subject, [](ModelUnderTest& model) {
    const Stages stages = Record(model);
    if (!stages.config.ok()) return Skip(Text(stages.config));
    return stages.create.ok() ? Pass() : Fail(Text(stages.create));
  });
}

Finding CheckDeclaresTheSame(const Subject& subject) {
  return ForEachModel(subject, [](ModelUnderTest& model) {
    std::string first;
    for (int round = 0; round < 3; ++round) {
      const Stages stages = Record(model);
      if (!stages.config.ok() || !stages.create.ok()) return Skip(Text(stages.status()));
      const std::string bytes = DeclarationBytes(stages.model.graph);
      if (round > 0 && bytes != first) {
        return Fail(
            "create declares something else when it is called again; it must depend on "
            "the config alone");
      }
      first = bytes;
    }
    return Pass();
  });
}

Finding CheckRecords(const Subject& subject) {
  return ForEachModel(subject, [](ModelUnderTest& model) {
    const Stages stages = Record(model);
    if (!stages.config.ok() || !stages.create.ok()) return Skip(Text(stages.status()));
    if (stages.record.ok()) return Pass();
    return AsksForANumber(stages.record) ? Skip(Text(stages.record)) : Fail(Text(stages.record));
  });
}

Finding CheckAsksNoNumbers(const Subject& subject) {
  return ForEachModel(subject, [](ModelUnderTest& model) {
    const Stages stages = Record(model);
    if (AsksForANumber(stages.record)) return Fail(Text(stages.record));
    if (!stages.config.ok() || !stages.create.ok()) return Skip(Text(stages.status()));
    return stages.record.ok() ? Pass() : Skip(Text(stages.record));
  });
}

Finding CheckVerifies(const Subject& subject) {
  return ForEachModel(subject, [](ModelUnderTest& model) {
    const Stages stages = Record(model);
    if (stages.verify.ok()) {
      return stages.status().ok() ? Pass() : Skip(Text(stages.status()));
    }
    return RowsMix(stages).ok() ? Fail(Text(stages.verify)) : Skip(Text(stages.verify));
  });
}

Finding CheckRows(const Subject& subject) {
  return ForEachModel(subject, [](ModelUnderTest& model) {
    const Stages stages = Record(model);
    if (const absl::Status rows = RowsMix(stages); !rows.ok()) return Fail(Text(rows));
    return stages.status().ok() ? Pass() : Skip(Text(stages.status()));
  });
}

Finding CheckRecordsTheSame(const Subject& subject) {
  return ForEachGraph(subject, [](ModelUnderTest& model, const Stages& stages) {
    const auto functions = RecordFunctions(model.source, stages.model);
    if (!functions.ok()) return Fail(absl::StrCat("once OK, then: ", Text(functions.status())));
    const std::string first = FunctionBytes(stages.model.graph);
    if (FunctionBytes(WithFunctions(proto::Graph(), *functions)) != first) {
      return Fail(
          "a model records another graph when it is asked again; forward must leave it "
          "unchanged");
    }
    const Stages other = Record(model);
    if (FunctionBytes(other.model.graph) == first) return Pass();
    return Fail(
        "a second model of the same config records another graph; it must depend on the "
        "config alone");
  });
}

Finding CheckRecordsTheSameElsewhere(const Subject& subject) {
  return ForEachGraph(subject, [&](ModelUnderTest& model, const Stages&) {
    const std::string config = model.dir.empty() ? model.where : model.dir;
    std::string first;
    for (int process = 0; process < 3; ++process) {
      const absl::StatusOr<ChildResult> child = RunChild(
          "/proc/self/exe", {kDigestArgument, subject.plugin, config}, "", absl::Seconds(20));
      if (!child.ok()) return Skip(Text(child.status()));
      if (child->wait_status != 0) {
        return Fail(absl::StrCat("records here, but not in another process: ",
                                 absl::StripAsciiWhitespace(child->output)));
      }
      if (process > 0 && child->output != first) {
        return Fail(
            "two processes record two graphs; it must not depend on addresses, time or "
            "the environment");
      }
      first = child->output;
    }
    return Pass();
  });
}

Finding CheckTensorParallelPlan(const Subject& subject) {
  return ForEachGraph(subject, [](ModelUnderTest&, const Stages& stages) {
    for (const int ranks : {1, 2, 4, 8}) {
      const absl::Status status = ShardGraph(stages.model.graph, {.ranks = ranks}).status();
      if (status.ok() || absl::StrContains(status.message(), "don't divide")) continue;
      return Fail(absl::StrCat(ranks, " ranks: ", Text(status)));
    }
    return Pass();
  });
}

Finding CheckPipelinePlan(const Subject& subject) {
  return ForEachGraph(subject, [](ModelUnderTest&, const Stages& stages) {
    const absl::Status status = CheckPpPlan(stages.model.graph);
    return status.ok() ? Pass() : Fail(Text(status));
  });
}

Finding CheckRecordTime(const Subject& subject) {
  constexpr absl::Duration kLimit = absl::Milliseconds(100);
  return ForEachGraph(subject, [&](ModelUnderTest& model, const Stages& stages) {
    absl::Duration best = absl::InfiniteDuration();
    for (int round = 0; round < 3; ++round) {
      const absl::Time start = absl::Now();
      (void)RecordFunctions(model.source, stages.model);
      best = std::min(best, absl::Now() - start);
    }
    if (best <= kLimit) return Pass();
    return Fail(absl::StrCat("takes ", absl::ToInt64Milliseconds(best), " ms, expected 100 ms"));
  });
}

int PrintGraphDigest(const Subject& subject) {
  std::string bytes;
  const Finding finding = ForEachGraph(subject, [&](ModelUnderTest&, const Stages& stages) {
    const proto::Graph& graph = stages.model.graph;
    absl::StrAppend(&bytes, DeclarationBytes(graph), FunctionBytes(graph));
    return Pass();
  });
  const bool ok = finding.outcome == Outcome::kPass;
  std::printf("%s\n", ok ? Sha256Hex(AsBytes(bytes)).c_str() : finding.message.c_str());
  return ok ? 0 : 1;
}

}  // namespace keel::conformance
