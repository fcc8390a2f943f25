#include "apps/wire/generation.h"

#include <chrono>
#include <semaphore>
#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace keel::apps {
namespace {

std::vector<Request> Echo(const std::string& prompt) {
  std::vector<Request> requests(1);
  EXPECT_TRUE(requests[0].SetPrompt(prompt).ok());
  return requests;
}

// Takes all that comes until the end.
std::string TextOf(Generation& generation, std::counting_semaphore<>& woken) {
  std::string text;
  for (bool more = true; more; woken.acquire()) {
    std::vector<Piece> pieces;
    more = generation.Take(&pieces);
    for (const Piece& piece : pieces) text += piece.output.text;
    if (!more) break;
  }
  return text;
}

TEST(GenerationTest, WaitsForASlowClientAndLosesNothing) {
  Options options;
  ASSERT_TRUE(options.Set("max-model-len", "100000").ok());
  Result<Engine> engine = Engine::Create(options);
  ASSERT_TRUE(engine.ok());
  const std::string prompt(10000, 'a');
  std::counting_semaphore<> woken(0);
  const auto slow = Generation::Start(*engine, Echo(prompt), [&] { woken.release(); });
  ASSERT_TRUE(slow.ok());

  // Outputs stop coming while nobody takes them.
  size_t outputs = 0;
  while (woken.try_acquire_for(std::chrono::milliseconds(500))) ++outputs;
  EXPECT_GE(outputs, 4096u);
  EXPECT_LT(outputs, 4200u);

  std::counting_semaphore<> quick_woken(0);
  const auto quick = Generation::Start(*engine, Echo("quick"), [&] { quick_woken.release(); });
  ASSERT_TRUE(quick.ok());
  EXPECT_EQ(TextOf(**quick, quick_woken), "quick");
  EXPECT_EQ(TextOf(**slow, woken), prompt);
}

}  // namespace
}  // namespace keel::apps
