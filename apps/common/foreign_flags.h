// Flags of other servers, for those who come from there: vLLM's, SGLang's, TGI's, llama.cpp's.
#ifndef KEEL_APPS_COMMON_FOREIGN_FLAGS_H_
#define KEEL_APPS_COMMON_FOREIGN_FLAGS_H_

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace keel::apps {

// Other names of the engine's option `flag` ("max-model-len"), in CLI11's notation; "" if none.
std::string_view AliasesOf(std::string_view flag);

// `arguments` with what other servers spell otherwise in Keel's words: "--task generate" becomes
// "--runner=generate", "-tp 2" "--tp 2", and what Keel does anyway ("--device cpu") is left out.
// A flag that `is_known` stays as it is.
std::vector<std::string> TranslateForeignFlags(
    const std::vector<std::string>& arguments,
    const std::function<bool(const std::string& flag)>& is_known);

// What to use instead of `flag` ("--ctx-size") here, or why there is nothing; "" if no other server
// has it.
std::string_view HintForForeignFlag(std::string_view flag);

}  // namespace keel::apps

#endif  // KEEL_APPS_COMMON_FOREIGN_FLAGS_H_
