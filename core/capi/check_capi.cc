// sdk/abi/engine.h over CheckModel.
#include <cstdint>
#include <string>

#include "absl/strings/str_cat.h"
#include "core/capi/handles.h"
#include "core/check/check.h"
#include "sdk/abi/engine.h"

using keel::Guard;

extern "C" {

keel_status keel_check_model(const keel_options* options, const int32_t* tensor_parallel, size_t n,
                             keel_bytes_fn sink, void* user) {
  return Guard({{"options", options}, {"tensor_parallel", tensor_parallel, n}, {"sink", sink}},
               [&]() -> absl::Status {
                 keel::CheckOptions check{options->options, {}};
                 for (size_t i = 0; i < n; ++i) {
                   if (tensor_parallel[i] < 1 || tensor_parallel[i] > 64) {
                     return absl::InvalidArgumentError(absl::StrCat(
                         "tensor_parallel[", i, "] is ", tensor_parallel[i], ", expected 1 to 64"));
                   }
                   check.tensor_parallel.push_back(tensor_parallel[i]);
                 }
                 const std::string json = keel::ToJson(keel::CheckModel(check));
                 sink(user, json.data(), json.size());
                 return absl::OkStatus();
               });
}

}  // extern "C"
