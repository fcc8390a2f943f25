// The functions of the clauses, by the file that they are in. clauses.cc says what each is for.
#ifndef KEEL_CORE_CHECK_CLAUSES_H_
#define KEEL_CORE_CHECK_CLAUSES_H_

#include <string>

#include "absl/strings/string_view.h"
#include "core/check/clause.h"

namespace keel::clauses {

// What to do about a model that states what does not hold: `in_plugin`, but a graph file is made anew.
std::string Mend(const Inspection& x, absl::string_view in_plugin);

// files.cc
Finding Directory(Inspection& x);
Finding Config(Inspection& x);
Finding Generation(Inspection& x);
Finding Quantization(Inspection& x);
Finding WeightFiles(Inspection& x);

// implementation.cc
Finding Architecture(Inspection& x);
Finding Plugins(Inspection& x);
Finding AutoMap(Inspection& x);
Finding Implementation(Inspection& x);
Finding PluginLoads(Inspection& x);
Finding Graph(Inspection& x);
Finding Served(Inspection& x);
Finding ConfigKeys(Inspection& x);
Finding Dtype(Inspection& x);
Finding GraphBinding(Inspection& x);

// attention.cc
Finding Attention(Inspection& x);
Finding Layers(Inspection& x);

// plans.cc
Finding TpPlan(Inspection& x);
Finding TpDegrees(Inspection& x);
Finding PpPlan(Inspection& x);

// tensors.cc
Finding Renames(Inspection& x);
Finding Missing(Inspection& x);
Finding Leftover(Inspection& x);
Finding Shapes(Inspection& x);
Finding Ties(Inspection& x);

// memory.cc
Finding Cache(Inspection& x);
Finding WeightMemory(Inspection& x);
Finding CacheMemory(Inspection& x);

// text.cc
Finding TextFilesWork(Inspection& x);
Finding TokenIds(Inspection& x);
Finding Template(Inspection& x);
Finding Processor(Inspection& x);

}  // namespace keel::clauses
#endif  // KEEL_CORE_CHECK_CLAUSES_H_
