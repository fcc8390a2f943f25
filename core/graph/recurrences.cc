#include "core/graph/recurrences.h"

#include "sdk/abi/plugin.h"

namespace keel {

const RecurOperand* RecurrenceRow::FindArg(absl::string_view name) const {
  for (const RecurOperand& arg : args) {
    if (arg.name == name) return &arg;
  }
  return nullptr;
}

const std::vector<RecurrenceRow>& Recurrences() {
  static const auto* rows = new std::vector<RecurrenceRow>{
      {KEEL_RECUR_CAUSAL_CONV1D,
       KEEL_STATE_CONV,
       "KEEL_STATE_CONV [channels, kernel - 1]",
       "HK",
       {"x", "NH"},
       "NH",
       {{"weight", "HT"}, {"bias", "H", true}},
       {}},
      {KEEL_RECUR_SSD,
       KEEL_STATE_SSM,
       "KEEL_STATE_SSM [heads, head_dim, state]",
       "HPS",
       {"x", "NHP"},
       "NHP",
       {{"dt", "NH"},
        {"A", "H"},
        {"B", "NGS"},
        {"C", "NGS"},
        {"D", "H", true},
        {"dt_bias", "H", true}},
       {"dt_min", "dt_max"}},
      {KEEL_RECUR_SELECTIVE_SCAN,
       KEEL_STATE_SSM,
       "KEEL_STATE_SSM [channels, state]",
       "HS",
       {"x", "NH"},
       "NH",
       {{"dt", "NH"},
        {"A", "HS"},
        {"B", "NS"},
        {"C", "NS"},
        {"D", "H", true},
        {"dt_bias", "H", true}},
       {}},
      {KEEL_RECUR_GATED_DELTA,
       KEEL_STATE_DELTA,
       "KEEL_STATE_DELTA [heads, k_dim, v_dim]",
       "HKV",
       {"x", "NGK"},
       "NHV",
       {{"k", "NGK"}, {"v", "NHV"}, {"g", "NH", false, "NHK"}, {"beta", "NH"}},
       {}},
      {KEEL_RECUR_LINEAR_ATTENTION,
       KEEL_STATE_DELTA,
       "KEEL_STATE_DELTA [heads, k_dim, v_dim]",
       "HKV",
       {"x", "NGK"},
       "NHV",
       {{"k", "NGK"}, {"v", "NHV"}, {"g", "NH", true, "NHK"}},
       {}},
      {KEEL_RECUR_SCAN,
       KEEL_STATE_OTHER,
       "KEEL_STATE_OTHER [channels]",
       "H",
       {"x", "NH"},
       "NH",
       {{"a", "NH"}},
       {}},
  };
  return *rows;
}

const RecurrenceRow* FindRecurrence(int64_t kind) {
  for (const RecurrenceRow& row : Recurrences()) {
    if (row.kind == kind) return &row;
  }
  return nullptr;
}

}  // namespace keel
