// A part of an input, for one of several runs that share it.
#ifndef KEEL_APPS_BATCH_SHARD_H_
#define KEEL_APPS_BATCH_SHARD_H_

#include <cstdint>
#include <string>

#include "sdk/keel/engine.h"

namespace keel::apps {

// Every count-th line, so that shards are alike wherever the long lines are.
struct Shard {
  int64_t index = 0;  // below count
  int64_t count = 1;

  // `line` counts from 1.
  bool Has(int64_t line) const { return (line - 1) % count == index; }
  // How many of the first `lines`.
  int64_t Size(int64_t lines) const { return (lines - index + count - 1) / count; }
};

// "0/4" to "3/4".
Result<Shard> ParseShard(const std::string& text);

}  // namespace keel::apps

#endif  // KEEL_APPS_BATCH_SHARD_H_
