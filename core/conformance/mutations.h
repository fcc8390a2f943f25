// Configs that are wrong: a good one, changed in one place or in several.
#ifndef KEEL_CORE_CONFORMANCE_MUTATIONS_H_
#define KEEL_CORE_CONFORMANCE_MUTATIONS_H_

#include <boost/json/value.hpp>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

namespace keel::conformance {

struct Mutation {
  std::string what;  // "hidden_size is a text of 1 MiB"
  boost::json::value config;
};

// `config` (an object) without each of its keys in turn, down to the third level.
std::vector<Mutation> WithoutEachKey(const boost::json::value& config);

// `config` with other values at its place number `index`, or none past the last place: other kinds,
// huge and negative numbers, long texts.
std::vector<Mutation> WithOtherValues(const boost::json::value& config, size_t index);

// `config` with `true` at each place in turn.
std::vector<Mutation> WithTrueAtEachPlace(const boost::json::value& config);

// Two to four such changes at once, each at a place of its own.
Mutation Mutate(const boost::json::value& config, std::mt19937_64& random);

}  // namespace keel::conformance

#endif  // KEEL_CORE_CONFORMANCE_MUTATIONS_H_
