// Tables of hosts that are older or newer than this one.
#ifndef KEEL_CORE_CONFORMANCE_HOST_TABLES_H_
#define KEEL_CORE_CONFORMANCE_HOST_TABLES_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/graph/record_model.h"
#include "core/plugin/host.h"
#include "sdk/abi/plugin.h"

namespace keel::conformance {

// Called by a plugin that calls what its host has not: ends the process with kPoisonExit.
inline constexpr int kPoisonExit = 97;

// A copy of a table of functions (its size first) as another host would show it.
class TableCopy {
 public:
  // Shows only the first `shown` bytes of `size`; where the others were is poison.
  static TableCopy Shorter(const void* table, size_t size, size_t shown);
  // Shows four entries more than there are, all poison.
  static TableCopy Longer(const void* table, size_t size);
  // Shows all of it, but the entry at `offset`, if that is within, is NULL.
  static TableCopy Without(const void* table, size_t size, size_t offset);

  const void* get() const { return words_.data(); }

 private:
  TableCopy(const void* table, size_t copied, size_t total, size_t shown);
  std::vector<uint64_t> words_;
};

// The tables of a host of another version, and this host's functions behind them.
class OtherHost {
 public:
  enum class Age {
    kOldest,  // each table as its interface was first released
    kFuture,  // each table longer than any plugin knows
    kThis,
  };
  explicit OtherHost(Age age);
  // This host with an entry that is NULL, one of those that its tables have won since they were first
  // released: 0 to NumOptionalEntries() - 1.
  static OtherHost Without(size_t entry);
  static size_t NumOptionalEntries();

  const HostInterfaces& interfaces() const { return interfaces_; }
  // Makes recordings of `source` use these tables; this must outlive it.
  void Serve(ModelSource& source) const;

 private:
  OtherHost(Age age, size_t without);
  TableCopy Copy(const void* table, size_t size, size_t first_size);

  const Age age_;
  size_t without_;  // of kThis: how many optional entries of the tables to come are before that one
  TableCopy config_, features_, spec_, build_, ops_;
  HostInterfaces interfaces_;
};

}  // namespace keel::conformance

#endif  // KEEL_CORE_CONFORMANCE_HOST_TABLES_H_
