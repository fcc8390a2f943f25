// Well-formed messages that say something else.
#ifndef KEEL_TESTS_RECORDED_GRAPH_MUTATION_H_
#define KEEL_TESTS_RECORDED_GRAPH_MUTATION_H_

#include <google/protobuf/message.h>

#include <random>

namespace keel {

// One change somewhere below `message`: another value, an element dropped, swapped or there twice.
void ChangeField(google::protobuf::Message* message, std::mt19937& random);

}  // namespace keel

#endif  // KEEL_TESTS_RECORDED_GRAPH_MUTATION_H_
