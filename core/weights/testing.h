// A model with random weights, under the name that tests know it by.
#ifndef KEEL_CORE_WEIGHTS_TESTING_H_
#define KEEL_CORE_WEIGHTS_TESTING_H_

#include "core/weights/random_checkpoint.h"

namespace keel::testing {

using ::keel::RandomTensors;
using ::keel::WriteCheckpoint;

}  // namespace keel::testing

#endif  // KEEL_CORE_WEIGHTS_TESTING_H_
