#include "core/model/text_probe.h"

#include <stdlib.h>

#include <random>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "core/base/file.h"
#include "core/base/status_matchers.h"
#include "core/text/testing.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define KEEL_SANITIZER_TAKES_THE_ADDRESS_SPACE 1
#endif

namespace keel {
namespace {

using ::keel::testing::StatusIs;
using ::keel::testing::TestData;
using ::keel::testing::TestFiles;
using ::testing::AllOf;
using ::testing::HasSubstr;

const ProbeOptions kLittle = {.program = "", .cpu_seconds = 2, .memory_bytes = 256 << 20};

TextFiles FilesWithTemplate(const std::string& source) {
  TextFiles files = TestFiles("byte_level");
  files.chat_templates["default"] = source;
  return files;
}

// `files` with one part of tokenizer.json replaced; the part must be there.
TextFiles Replaced(TextFiles files, const std::string& from, const std::string& to) {
  EXPECT_THAT(files.tokenizer, HasSubstr(from));
  files.tokenizer = absl::StrReplaceAll(files.tokenizer, {{from, to}});
  return files;
}

TEST(ProbeTest, TakesGoodFiles) {
  for (const char* name : keel::testing::kTokenizers) {
    KEEL_EXPECT_OK(ProbeText(TestFiles(name))) << name;
  }
  for (const char* name : {"chatml", "features", "gemma", "llama3", "mistral", "qwen"}) {
    KEEL_ASSERT_OK_AND_ASSIGN(const std::string source,
                              ReadFile(TestData(absl::StrCat("templates/", name, ".jinja"))));
    KEEL_EXPECT_OK(ProbeText(FilesWithTemplate(source))) << name;
  }
}

TEST(ProbeTest, LoadsADirectory) {
  KEEL_ASSERT_OK_AND_ASSIGN(const Text text, LoadText(TestData("byte_level")));
  EXPECT_NE(text.tokenizer, nullptr);
  EXPECT_EQ(text.chat_template, nullptr);
}

TEST(ProbeTest, TakesAnotherChatTemplate) {
  const std::string dir = TestData("byte_level");
  for (const std::string& given : {TestData("templates/chatml.jinja"), std::string("{{ 1 }}")}) {
    KEEL_ASSERT_OK_AND_ASSIGN(const Text text, LoadText(dir, given));
    EXPECT_NE(text.chat_template, nullptr) << given;
  }
  EXPECT_THAT(LoadText(dir, "/no/such.jinja").status().message(),
              AllOf(HasSubstr("--chat-template"), HasSubstr("/no/such.jinja")));
  EXPECT_THAT(LoadText(dir, "{% if %}"), StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST(ProbeTest, WorksFromManyThreads) {
  const TextFiles good = TestFiles("byte_level");
  const TextFiles bad = FilesWithTemplate("{% if %}");
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      if (t % 2 == 0) {
        KEEL_EXPECT_OK(ProbeText(good));
      } else {
        EXPECT_THAT(ProbeText(bad), StatusIs(absl::StatusCode::kInvalidArgument));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST(ProbeTest, AMissingProgramIsAnErrorThatNamesThePlaces) {
  EXPECT_THAT(ProbeText(TestFiles("byte_level"), {.program = "/no/such/program"}),
              StatusIs(absl::StatusCode::kNotFound,
                       AllOf(HasSubstr("/no/such/program"), HasSubstr("KEEL_TEXT_PROBE"))));
  setenv("KEEL_TEXT_PROBE", "/not/there", 1);
  EXPECT_THAT(ProbeText(TestFiles("byte_level")),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("/not/there")));
  unsetenv("KEEL_TEXT_PROBE");
}

TEST(ProbeTest, AProgramThatIsNoProbeIsAnError) {
  EXPECT_THAT(ProbeText(TestFiles("byte_level"), {.program = "/bin/true"}),
              StatusIs(absl::StatusCode::kInternal, HasSubstr("/bin/true: does not work")));
}

// ---- Files that make their library panic, abort, loop or take all memory ----

std::string WithNormalizer(const std::string& normalizer) {
  return absl::StrCat("\"normalizer\":", normalizer, ",\"pre_tokenizer\"");
}

TextFiles WithCharsmap(const std::string& base64) {
  return Replaced(TestFiles("byte_level"), "\"normalizer\":null,\"pre_tokenizer\"",
                  WithNormalizer(absl::StrCat(R"({"type":"Precompiled","precompiled_charsmap":")",
                                              base64, "\"}")));
}

TEST(HostileTest, CharsmapThatPointsOutOfItself) {
  // The trie has one unit, all bits set; then no replacements.
  EXPECT_THAT(ProbeText(WithCharsmap("BAAAAP////8=")),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("tokeniz")));
  // The trie says that it has 2 GiB.
  EXPECT_THAT(ProbeText(WithCharsmap("////fwAAAAA=")),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("tokenizer.json")));
  EXPECT_THAT(ProbeText(WithCharsmap("AA==")),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("tokenizer.json")));
}

TEST(HostileTest, PaddingThatNoMemoryHolds) {
  EXPECT_THAT(
      ProbeText(Replaced(TestFiles("wordpiece"), "{\"Fixed\":16}", "{\"Fixed\":1000000000000}")),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("padding to 1000000000000")));
}

TEST(HostileTest, TextThatGrowsWithoutEnd) {
#ifdef KEEL_SANITIZER_TAKES_THE_ADDRESS_SPACE
  GTEST_SKIP() << "the sanitizer needs the address space";
#endif
  // Each step makes ten characters of one.
  std::string steps;
  for (int i = 0; i < 12; ++i) {
    absl::StrAppend(&steps, i == 0 ? "" : ",",
                    R"({"type":"Replace","pattern":{"String":"a"},"content":"aaaaaaaaaa"})");
  }
  const TextFiles files =
      Replaced(TestFiles("byte_level"), "\"normalizer\":null,\"pre_tokenizer\"",
               WithNormalizer(absl::StrCat(R"({"type":"Sequence","normalizers":[)", steps, "]}")));
  EXPECT_THAT(ProbeText(files, kLittle), StatusIs(absl::StatusCode::kInvalidArgument,
                                                  HasSubstr("tokenizer.json: tokenizing")));
}

TEST(HostileTest, TokenIdsBeyondAllBounds) {
  EXPECT_THAT(ProbeText(Replaced(TestFiles("wordpiece"), "\"[PAD]\":0", "\"[PAD]\":4294967295")),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("tokenizer.json")));
}

TEST(HostileTest, NestingWithoutEnd) {
  std::string nested(100000, '[');
  EXPECT_THAT(ProbeText(Replaced(TestFiles("byte_level"), "\"normalizer\":null",
                                 absl::StrCat("\"normalizer\":", nested))),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("tokenizer.json")));
}

TEST(HostileTest, PatternsThatBacktrackWithoutEnd) {
  const TextFiles files =
      Replaced(TestFiles("byte_level"), "\"normalizer\":null,\"pre_tokenizer\"",
               WithNormalizer(R"({"type":"Replace","pattern":{"Regex":"^(a+a?)+[^a]$"},)"
                              R"("content":""})"));
  EXPECT_THAT(ProbeText(files, kLittle),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("tokeniz")));
}

TEST(HostileTest, TemplatesThatLoop) {
  EXPECT_THAT(ProbeText(FilesWithTemplate("{% for a in range(100000) %}{% for b in range(100000) "
                                          "%}{% endfor %}{% endfor %}")),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("too many instructions")));
}

TEST(HostileTest, TemplatesThatTakeAllMemory) {
#ifdef KEEL_SANITIZER_TAKES_THE_ADDRESS_SPACE
  GTEST_SKIP() << "the sanitizer needs the address space";
#endif
  EXPECT_THAT(
      ProbeText(FilesWithTemplate("{% set ns = namespace(l=[]) %}{% for i in range(60) %}"
                                  "{% set ns.l = ns.l + ['0123456789' * 1000000 ~ i] %}"
                                  "{% endfor %}"),
                kLittle),
      StatusIs(absl::StatusCode::kInvalidArgument,
               AllOf(HasSubstr("chat template \"default\": rendering"), HasSubstr("memory"))));
  EXPECT_THAT(
      ProbeText(FilesWithTemplate("{% set ns = namespace(x='0123456789') %}{% for i in range(60) "
                                  "%}{% set ns.x = ns.x ~ ns.x %}{% endfor %}"),
                kLittle),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("a value of more than")));
}

TEST(HostileTest, TemplatesThatOverflowTheStack) {
  // A list nested a million times, which is taken apart recursively.
  EXPECT_THAT(ProbeText(FilesWithTemplate(
                  "{% set ns = namespace(x=[]) %}{% for i in range(100000) %}{% for "
                  "j in range(10) %}{% set ns.x = [ns.x] %}{% endfor %}{% endfor %}")),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("chat template \"default\": rendering")));
}

// Whatever a mutated file does, this process lives and says what it was.
TEST(HostileTest, MutatedFilesAreTakenOrRefused) {
  int taken = 0;
  for (uint32_t seed = 0; seed < 60; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    TextFiles files = TestFiles(keel::testing::kTokenizers[seed % 5]);
    KEEL_ASSERT_OK_AND_ASSIGN(files.chat_templates["default"],
                              ReadFile(TestData("templates/mistral.jinja")));
    std::string& target = seed % 3 == 0 ? files.chat_templates["default"] : files.tokenizer;
    for (uint32_t n = 1 + random() % 4; n > 0; --n) {
      const size_t at = random() % target.size();
      switch (random() % 4) {
        case 0:
          target[at] = static_cast<char>(random() % 256);
          break;
        case 1:
          target.erase(at, 1 + random() % 20);
          break;
        case 2:
          target.insert(at, target.substr(random() % target.size(), 1 + random() % 40));
          break;
        default:
          target.insert(at, std::to_string(random()));
      }
    }
    const absl::Status status = ProbeText(files);
    if (status.ok()) {
      ++taken;
      KEEL_EXPECT_OK(Tokenizer::Create(files));
    } else {
      EXPECT_THAT(status, StatusIs(absl::StatusCode::kInvalidArgument));
    }
  }
  EXPECT_GT(taken, 0);
}

}  // namespace
}  // namespace keel
