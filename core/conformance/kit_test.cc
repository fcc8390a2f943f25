#include "core/conformance/kit.h"

#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/file.h"
#include "core/base/json.h"
#include "core/base/status_matchers.h"
#include "core/conformance/host_tables.h"
#include "core/conformance/mutations.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel::conformance {
namespace {

using ::keel::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

// Requirements that keel-validate-numbers has checks for.
const std::set<int> kOfNumbers = {72, 120, 121, 122, 123, 124, 125};

TEST(RequirementsTest, AreInOrderAndInTheOrderOfTheirGroups) {
  size_t group = 0;
  int last = 0;
  for (const Requirement& r : Requirements()) {
    EXPECT_GT(r.number, last);
    last = r.number;
    while (group < RequirementGroups().size() && RequirementGroups()[group].letter != r.group) {
      ++group;
    }
    ASSERT_LT(group, RequirementGroups().size()) << RequirementId(r.number);
  }
}

TEST(RequirementsTest, EachHasOneCheckAndEachCheckOne) {
  std::set<int> checked = kOfNumbers;
  for (const Check& check : Checks()) {
    EXPECT_NE(FindRequirement(check.number), nullptr) << check.number;
    EXPECT_TRUE(checked.insert(check.number).second) << check.number;
  }
  for (const Requirement& r : Requirements()) EXPECT_TRUE(checked.count(r.number)) << r.number;
}

TEST(RequirementsTest, TheDocumentListsEachInItsGroup) {
  std::string tables;
  for (const RequirementGroup& group : RequirementGroups()) {
    absl::StrAppend(&tables, "## ", std::string(1, group.letter), ". ", group.title, "\n\n",
                    "| id | a plugin | enforced by | else |\n|---|---|---|---|\n");
    for (const Requirement& r : Requirements()) {
      if (r.group != group.letter) continue;
      const bool must = r.level == Requirement::Level::kMust;
      const bool loader = r.enforced != Requirement::Enforced::kKit;
      absl::StrAppend(&tables, "| ", RequirementId(r.number), " | ", must ? "**must**" : "should",
                      ": ", r.text, " | ", loader ? "loader" : "kit", " | ", r.consequence, " |\n");
    }
    absl::StrAppend(&tables, "\n");
  }
  tables.pop_back();
  KEEL_ASSERT_OK_AND_ASSIGN(const std::string page, ReadFile("docs/plugin-requirements.md"));
  EXPECT_THAT(page, HasSubstr(tables)) << "the tables should be:\n" << tables;
}

TEST(RequirementsTest, AMessageNamesWhatItBreaks) {
  const std::string message = absl::StrCat(Breaks(3, "exports x"), "; ", Breaks(12, "has y"));
  EXPECT_EQ(message, "exports x [KEEL-PLG-003]; has y [KEEL-PLG-012]");
  EXPECT_THAT(BrokenRequirements(message), ElementsAre(3, 12));
  const absl::Status status = Breaks(7, absl::NotFoundError(message));
  EXPECT_EQ(status.message(), message) << "the first to say it knows best";
}

// ---- what the loader enforces ------------------------------------------------------------------

struct Refused {
  const char* plugin;
  int breaks;
};
void PrintTo(const Refused& refused, std::ostream* os) { *os << refused.plugin; }

class RefusedTest : public ::testing::TestWithParam<Refused> {};

TEST_P(RefusedTest, BreaksItsRequirementAndNoOther) {
  const Subject subject = {.plugin = absl::StrCat("tests/plugins/", GetParam().plugin)};
  std::vector<int> failed;
  for (const Check& check : Checks()) {
    const Requirement& requirement = *FindRequirement(check.number);
    if (requirement.enforced == Requirement::Enforced::kKit) continue;
    const Finding finding = check.run(subject);
    if (finding.outcome == Outcome::kFail) failed.push_back(check.number);
  }
  EXPECT_THAT(failed, ElementsAre(GetParam().breaks));
}

INSTANTIATE_TEST_SUITE_P(
    EachPlugin, RefusedTest,
    ::testing::Values(Refused{"not_elf.so", 1}, Refused{"libbad_no_entry.so", 2},
                      Refused{"libbad_extra_export.so", 3}, Refused{"libbad_needs_zlib.so", 4},
                      Refused{"libbad_runpath.so", 5}, Refused{"libbad_no_note.so", 6},
                      Refused{"libbad_two_notes.so", 6}, Refused{"libbad_bad_note.so", 7},
                      Refused{"libbad_abi_2.so", 8}, Refused{"libbad_abi_0_7.so", 8},
                      Refused{"libbad_nodelete.so", 9}, Refused{"libbad_static_tls.so", 11},
                      Refused{"libbad_exec_stack.so", 12}, Refused{"libbad_lazy.so", 13},
                      Refused{"libbad_fast_math.so", 30}, Refused{"libbad_null_descriptor.so", 32},
                      Refused{"libbad_small_descriptor.so", 32},
                      Refused{"libbad_null_shutdown.so", 32},
                      Refused{"libbad_descriptor_abi_0_7.so", 33},
                      Refused{"libbad_newer_host.so", 33}, Refused{"libbad_needs_torch.so", 34},
                      Refused{"libbad_throws.so", 35}, Refused{"libbad_init_fails.so", 36},
                      Refused{"libbad_init_fails_silently.so", 36},
                      Refused{"libbad_null_item.so", 37}, Refused{"libbad_small_class.so", 37},
                      Refused{"libbad_null_name.so", 37}, Refused{"libbad_null_forward.so", 37},
                      Refused{"libbad_eager_only.so", 34}, Refused{"libbad_unknown_flag.so", 34},
                      Refused{"libbad_hidden_kernel.so", 38}, Refused{"libbad_note_lies.so", 39}),
    [](const auto& info) {
      std::string name = info.param.plugin;
      return name.substr(0, name.find('.'));
    });

// ---- configs that are wrong --------------------------------------------------------------------

boost::json::value Parsed(absl::string_view text) { return *ParseJson(text, "text"); }

TEST(MutationsTest, EachKeyIsLeftOutInTurn) {
  std::vector<std::string> whats;
  for (const Mutation& m : WithoutEachKey(Parsed(R"({"a": 1, "b": {"c/d": 2}, "e": [3]})"))) {
    whats.push_back(m.what);
  }
  EXPECT_THAT(whats, ElementsAre("without a", "without b", "without b.c/d", "without e"));
}

TEST(MutationsTest, EveryPlaceGetsOtherValues) {
  const boost::json::value config = Parsed(R"({"a": 1, "b": {"c": [2, 3]}})");
  size_t places = 0;
  for (;; ++places) {
    const std::vector<Mutation> mutations = WithOtherValues(config, places);
    if (mutations.empty()) break;
    for (const Mutation& m : mutations) EXPECT_NE(m.config, config) << m.what;
  }
  EXPECT_EQ(places, 4u);  // a, b, b.c, b.c.0
}

TEST(MutationsTest, TheSameSeedGivesTheSameConfigs) {
  const boost::json::value config = Parsed(R"({"a": 1, "b": 2, "c": 3})");
  std::mt19937_64 one(5), two(5);
  for (int i = 0; i < 20; ++i) EXPECT_EQ(Mutate(config, one).config, Mutate(config, two).config);
}

// ---- hosts of other versions -------------------------------------------------------------------

struct Table {
  uint32_t struct_size = sizeof(Table), reserved = 0;
  void (*first)() = nullptr;
  void (*second)() = nullptr;
};

TEST(HostTablesTest, AShorterTableHasPoisonWhereItEnds) {
  const Table table;
  const TableCopy copy = TableCopy::Shorter(&table, sizeof(table), offsetof(Table, second));
  const auto* shown = static_cast<const Table*>(copy.get());
  EXPECT_EQ(shown->struct_size, offsetof(Table, second));
  EXPECT_EQ(shown->first, nullptr);
  EXPECT_EXIT(shown->second(), ::testing::ExitedWithCode(kPoisonExit), "");
}

TEST(HostTablesTest, ALongerTableKeepsWhatThereIs) {
  const Table table;
  const TableCopy copy = TableCopy::Longer(&table, sizeof(table));
  const auto* shown = static_cast<const Table*>(copy.get());
  EXPECT_GT(shown->struct_size, sizeof(Table));
  EXPECT_EQ(shown->second, nullptr);
}

// ---- waivers -----------------------------------------------------------------------------------

TEST(WaiversTest, AreANumberAndAReason) {
  KEEL_ASSERT_OK_AND_ASSIGN(const Waivers waivers,
                            ParseWaivers("# none\n\n KEEL-PLG-050  old hosts are gone \n", "w"));
  EXPECT_THAT(waivers, ElementsAre(Pair(50, "old hosts are gone")));
  EXPECT_THAT(ParseWaivers("KEEL-PLG-050\n", "w"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("w:1: KEEL-PLG-050 has no")));
  EXPECT_THAT(ParseWaivers("\n050 why\n", "w"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("w:2: '050' is no")));
}

}  // namespace
}  // namespace keel::conformance
