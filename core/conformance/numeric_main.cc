// keel-validate-numbers: the kit's worker for checks that compute. keel-validate starts it.
#include <cstdio>

#include "core/conformance/numeric_checks.h"
#include "core/conformance/worker.h"

int main(int argc, char** argv) {
  using namespace keel::conformance;
  constexpr Check kChecks[] = {
      {72, CheckCoverage},  {120, CheckEagerRun},  {121, CheckChunks},          {122, CheckBatches},
      {123, CheckTwoRanks}, {124, CheckTwoStages}, {125, CheckEncodesTogether},
  };
  if (const auto code = RunAsWorker(kChecks, argc, argv)) return *code;
  std::fputs("keel-validate-numbers is started by keel-validate\n", stderr);
  return 2;
}
