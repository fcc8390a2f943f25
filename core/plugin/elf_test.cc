#include "core/plugin/elf.h"

#include <elf.h>

#include <cstring>
#include <random>
#include <string>

#include "core/base/file.h"
#include "core/base/status_matchers.h"
#include "core/plugin/inspect.h"

namespace keel {
namespace {

using ::keel::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr absl::StatusCode kInvalid = absl::StatusCode::kInvalidArgument;
constexpr char kMinimal[] = "tests/plugins/libminimal.so";

std::string Bytes(const std::string& path) { return ReadFile(path).value(); }

absl::Span<const uint8_t> Span(const std::string& bytes) {
  return {reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()};
}

TEST(ElfTest, ReadsAPlugin) {
  KEEL_ASSERT_OK_AND_ASSIGN(const ElfFacts facts, ReadElf(Span(Bytes(kMinimal))));
  EXPECT_THAT(facts.exports, ElementsAre("keel_plugin_entry_v1"));
  for (const std::string& library : facts.needed) EXPECT_TRUE(IsAllowedLibrary(library)) << library;
  EXPECT_THAT(facts.search_paths, IsEmpty());
  EXPECT_TRUE(facts.has_relro);
  EXPECT_TRUE(facts.binds_now);
  EXPECT_FALSE(facts.has_executable_stack);
  ASSERT_TRUE(facts.note.has_value());
  EXPECT_THAT(*facts.note, HasSubstr("id=org.keel.test.minimal\n"));
}

TEST(ElfTest, RefusesWhatIsNoElfFile) {
  EXPECT_THAT(ReadElf({}), StatusIs(kInvalid, HasSubstr("not an ELF file")));
  EXPECT_THAT(ReadElf(Span(Bytes("tests/plugins/not_elf.so"))),
              StatusIs(kInvalid, HasSubstr("not an ELF file")));
}

TEST(ElfTest, RefusesAnotherMachine) {
  std::string bytes = Bytes(kMinimal);
  Elf64_Half riscv = EM_RISCV;
  std::memcpy(bytes.data() + offsetof(Elf64_Ehdr, e_machine), &riscv, sizeof(riscv));
  EXPECT_THAT(ReadElf(Span(bytes)), StatusIs(kInvalid, HasSubstr("built for riscv, this host")));
}

TEST(ElfTest, RefusesAnotherClassAndSystem) {
  std::string narrow = Bytes(kMinimal);
  narrow[EI_CLASS] = ELFCLASS32;
  EXPECT_THAT(ReadElf(Span(narrow)), StatusIs(kInvalid, HasSubstr("64-bit little-endian")));
  std::string foreign = Bytes(kMinimal);
  foreign[EI_OSABI] = ELFOSABI_FREEBSD;
  EXPECT_THAT(ReadElf(Span(foreign)), StatusIs(kInvalid, HasSubstr("another system")));
}

TEST(ElfTest, RefusesAProgram) {
  std::string program = Bytes(kMinimal);
  Elf64_Half type = ET_EXEC;
  std::memcpy(program.data() + offsetof(Elf64_Ehdr, e_type), &type, sizeof(type));
  EXPECT_THAT(ReadElf(Span(program)), StatusIs(kInvalid, HasSubstr("not a shared library")));
}

TEST(ElfTest, EveryTruncationIsAnErrorOrTheSameFacts) {
  const std::string bytes = Bytes(kMinimal);
  KEEL_ASSERT_OK_AND_ASSIGN(const ElfFacts whole, ReadElf(Span(bytes)));
  for (size_t size = 0; size < bytes.size(); size += 7) {
    const absl::StatusOr<ElfFacts> facts = ReadElf(Span(bytes.substr(0, size)));
    if (facts.ok()) {  // only section headers, which nobody loads, were cut
      EXPECT_EQ(facts->exports, whole.exports);
      EXPECT_EQ(facts->note, whole.note);
    }
  }
  EXPECT_THAT(ReadElf(Span(bytes.substr(0, bytes.size() / 2))),
              StatusIs(kInvalid, HasSubstr("truncated")));
}

TEST(ElfTest, MutatedFilesNeverCrash) {
  const std::string bytes = Bytes(kMinimal);
  constexpr uint32_t kSeed = 20261123;
  std::mt19937 random(kSeed);
  int refused = 0;
  for (int round = 0; round < 20000; ++round) {
    std::string mutant = bytes;
    const int changes = 1 + static_cast<int>(random() % 8);
    for (int i = 0; i < changes; ++i) {
      // Half of the changes hit the headers, where they matter.
      const size_t limit = random() % 2 == 0 ? 0x800 : mutant.size();
      const size_t at = random() % std::min(limit, mutant.size());
      constexpr char kEdges[] = {0, 1, 0x7f, static_cast<char>(0x80), static_cast<char>(0xff)};
      mutant[at] = random() % 2 == 0 ? static_cast<char>(random()) : kEdges[random() % 5];
    }
    if (random() % 16 == 0) mutant.resize(random() % mutant.size());
    refused += !InspectPlugin(Span(mutant)).ok();
  }
  EXPECT_GT(refused, 1000) << "seed " << kSeed;
}

}  // namespace
}  // namespace keel
