// Groups B, R and X: what create declares and forward records, again, elsewhere and with faults.
#ifndef KEEL_CORE_CONFORMANCE_GRAPH_CHECKS_H_
#define KEEL_CORE_CONFORMANCE_GRAPH_CHECKS_H_

#include "core/conformance/check.h"

namespace keel::conformance {

Finding CheckDeclares(const Subject& subject);
Finding CheckDeclaresTheSame(const Subject& subject);

Finding CheckRecords(const Subject& subject);
Finding CheckAsksNoNumbers(const Subject& subject);
Finding CheckVerifies(const Subject& subject);
Finding CheckRows(const Subject& subject);
Finding CheckRecordsTheSame(const Subject& subject);
// Starts this program anew, as `argv[0] --graph-digest PLUGIN CONFIG`: see PrintGraphDigest.
Finding CheckRecordsTheSameElsewhere(const Subject& subject);
Finding CheckTensorParallelPlan(const Subject& subject);
Finding CheckRecordTime(const Subject& subject);

Finding CheckOpsThatFail(const Subject& subject);
Finding CheckCreateAndDestroy(const Subject& subject);

// Prints the digest of the graphs of the subject's configs, or an error; gives an exit code.
int PrintGraphDigest(const Subject& subject);
// The argument that makes a program that holds these checks do so.
inline constexpr char kDigestArgument[] = "--graph-digest";

}  // namespace keel::conformance

#endif  // KEEL_CORE_CONFORMANCE_GRAPH_CHECKS_H_
