// A loaded model, as clients see it.
#ifndef KEEL_APPS_COMMON_SERVED_MODEL_H_
#define KEEL_APPS_COMMON_SERVED_MODEL_H_

#include <cstdint>
#include <string>
#include <vector>

namespace keel::apps {

struct ServedModel {
  std::vector<std::string> names;  // the first is the one in responses that named none
  int64_t max_model_len = 0;       // 0: not known
  std::string root;                // where it was loaded from
  int64_t created = 0;             // seconds since 1970
};

}  // namespace keel::apps

#endif  // KEEL_APPS_COMMON_SERVED_MODEL_H_
