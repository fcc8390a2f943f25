#include "core/kernels/attention_scratch.h"

namespace keel::lanes {

Scratch& ThreadScratch() {
  thread_local Scratch scratch;
  return scratch;
}

}  // namespace keel::lanes
