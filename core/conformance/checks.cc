// The list of checks: which function looks at which requirement.
#include "core/conformance/attention_checks.h"
#include "core/conformance/check.h"
#include "core/conformance/config_checks.h"
#include "core/conformance/graph_checks.h"
#include "core/conformance/kernel_checks.h"
#include "core/conformance/load_checks.h"
#include "core/conformance/processor_checks.h"
#include "core/conformance/static_checks.h"
#include "core/conformance/version_checks.h"

namespace keel::conformance {
namespace {

template <int kNumber>
Finding OfFile(const Subject& subject) {
  return CheckFile(subject, kNumber);
}
template <int kNumber>
Finding OfLoading(const Subject& subject) {
  return CheckLoading(subject, kNumber);
}

constexpr Check kChecks[] = {
    {1, OfFile<1>},
    {2, OfFile<2>},
    {3, OfFile<3>},
    {4, OfFile<4>},
    {5, OfFile<5>},
    {6, OfFile<6>},
    {7, OfFile<7>},
    {8, OfFile<8>},
    {9, OfFile<9>},
    {10, OfFile<10>},
    {11, OfFile<11>},
    {12, OfFile<12>},
    {13, OfFile<13>},
    {29, OfLoading<29>},
    {30, OfLoading<30>},
    {31, OfLoading<31>},
    {32, OfLoading<32>},
    {33, OfLoading<33>},
    {34, OfLoading<34>},
    {35, OfLoading<35>},
    {36, OfLoading<36>},
    {37, OfLoading<37>},
    {38, OfLoading<38>},
    {39, OfLoading<39>},
    {40, CheckUnknownIds},
    {41, CheckReload},
    {42, CheckMissingInterfaces},
    {43, CheckProcessSettings},
    {44, CheckLeftBehind},
    {45, CheckLoadTime},
    {46, CheckBesideAnother},
    {50, CheckOldestHost},
    {51, CheckFutureHost},
    {52, CheckNullEntries},
    {60, CheckTakesItsConfigs},
    {61, CheckSameSpec},
    {62, CheckMissingKeys},
    {63, CheckOtherValues},
    {64, CheckConfigFuzz},
    {65, CheckSaysWhy},
    {70, CheckDeclares},
    {71, CheckDeclaresTheSame},
    {80, CheckRecords},
    {81, CheckAsksNoNumbers},
    {82, CheckVerifies},
    {83, CheckRows},
    {84, CheckRecordsTheSame},
    {85, CheckRecordsTheSameElsewhere},
    {86, CheckTensorParallelPlan},
    {87, CheckRecordTime},
    {88, CheckPipelinePlan},
    {110, CheckOpsThatFail},
    {111, CheckCreateAndDestroy},
    {130, CheckAttentionServes},
    {131, CheckAttentionNumbers},
    {132, CheckAttentionForeignKeys},
    {133, CheckAttentionPlacement},
    {134, CheckAttentionBorders},
    {135, CheckAttentionBits},
    {140, CheckKernelInfer},
    {141, CheckKernelBorders},
    {142, CheckKernelNoRows},
    {143, CheckKernelPlacement},
    {144, CheckKernelRows},
    {145, CheckKernelBits},
    {146, CheckKernelStates},
    {150, CheckProcessorCounts},
    {151, CheckProcessorRows},
    {152, CheckProcessorItems},
    {153, CheckProcessorThreads},
    {154, CheckProcessorPlaceholders},
    {155, CheckProcessorSizes},
};

}  // namespace

absl::Span<const Check> Checks() { return kChecks; }

}  // namespace keel::conformance
