// NULL for an argument of sdk/abi/engine.h is refused, whichever argument it is.
#include <cstddef>
#include <cstdint>
#include <fstream>
#include <iterator>
#include <regex>
#include <set>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "sdk/abi/engine.h"

namespace {

using ::testing::HasSubstr;

constexpr keel_status kInvalidArgument = 3;

// A value for an argument of type T. Pointers lead to zeros: a call that gets past the check of its
// arguments would be seen.
template <typename T>
T Some() {
  alignas(16) static char zeros[4096] = {};
  if constexpr (std::is_pointer_v<T>) {
    return reinterpret_cast<T>(zeros);
  } else {
    return T{1};
  }
}

class NullTest : public ::testing::Test {
 protected:
  // Calls `fn` with NULL for one pointer at a time, but never for those at the positions
  // `may_be_null`.
  template <typename R, typename... T>
  void Walk(const char* name, R (*fn)(T...), const std::set<size_t>& may_be_null = {}) {
    walked_.insert(name);
    WalkEach<R, T...>(name, fn, may_be_null, std::index_sequence_for<T...>());
  }

  static std::set<std::string> walked_;

 private:
  template <typename R, typename... T, size_t... I>
  void WalkEach(const char* name, R (*fn)(T...), const std::set<size_t>& may_be_null,
                std::index_sequence<I...>) {
    (CallWithNull<I, R, T...>(name, fn, may_be_null, std::index_sequence<I...>()), ...);
  }

  template <size_t kNull, typename R, typename... T, size_t... I>
  void CallWithNull(const char* name, R (*fn)(T...), const std::set<size_t>& may_be_null,
                    std::index_sequence<I...>) {
    std::tuple<T...> arguments{Some<T>()...};
    if constexpr (std::is_pointer_v<std::tuple_element_t<kNull, std::tuple<T...>>>) {
      if (may_be_null.contains(kNull)) return;
      std::get<kNull>(arguments) = nullptr;
      const R result = fn(std::get<I>(arguments)...);
      EXPECT_THAT(keel_error_message(), HasSubstr("is NULL")) << name << ", argument " << kNull;
      if constexpr (std::is_same_v<R, keel_status>) {
        const bool has_status = kHasNoStatus.count(name) == 0;
        EXPECT_EQ(result, has_status ? kInvalidArgument : 0) << name << ", argument " << kNull;
      } else if constexpr (std::is_same_v<R, const char*>) {
        EXPECT_TRUE(result == nullptr || *result == '\0') << name << ", argument " << kNull;
      } else {
        EXPECT_EQ(result, R{}) << name << ", argument " << kNull;
      }
      keel_options_set_progress(nullptr, nullptr, nullptr);  // another message
      EXPECT_THAT(keel_error_message(), HasSubstr("options is NULL"));
    }
  }

  // int32_t, but no status.
  const std::set<std::string> kHasNoStatus = {"keel_output_is_last", "keel_output_stop_token"};
};

std::set<std::string> NullTest::walked_;

#define WALK(fn, ...) Walk(#fn, fn, ##__VA_ARGS__)

TEST_F(NullTest, IsRefusedByName) {
  WALK(keel_error_detail);
  WALK(keel_options_new);
  WALK(keel_options_set);
  WALK(keel_options_set_progress, {1, 2});
  WALK(keel_option_describe);
  WALK(keel_engine_new);
  WALK(keel_engine_check);
  WALK(keel_engine_info);
  WALK(keel_engine_metrics, {2});
  WALK(keel_engine_tokenize, {5});
  WALK(keel_engine_detokenize, {5});
  WALK(keel_engine_token_bytes, {3, 4});
  WALK(keel_request_new);
  WALK(keel_request_set_prompt_text);
  WALK(keel_request_set_prompt_tokens);
  WALK(keel_request_set_messages);
  WALK(keel_request_set_int);
  WALK(keel_request_set_float);
  WALK(keel_request_set_string);
  WALK(keel_request_add_string);
  WALK(keel_request_add_int);
  WALK(keel_request_add_logit_bias);
  WALK(keel_request_add_image);
  WALK(keel_request_add_audio);
  WALK(keel_request_add_media);
  WALK(keel_request_add_media_url);
  WALK(keel_engine_submit, {2, 3});
  WALK(keel_engine_cancel);
  WALK(keel_engine_pause);
  WALK(keel_engine_resume);
  WALK(keel_engine_read);
  WALK(keel_engine_poll);
  WALK(keel_engine_event_fd);
  WALK(keel_engine_drain);
  WALK(keel_engine_prompt_tokens, {3});
  WALK(keel_engine_reset_prefix_cache);
  WALK(keel_output_user);
  WALK(keel_output_request);
  WALK(keel_output_index);
  WALK(keel_output_text);
  WALK(keel_output_tokens);
  WALK(keel_output_logprob);
  WALK(keel_output_prompt_logprob);
  WALK(keel_output_cumulative_logprob);
  WALK(keel_output_finish_reason);
  WALK(keel_output_stop_reason);
  WALK(keel_output_stop_token);
  WALK(keel_output_status, {1});
  WALK(keel_output_error_detail);
  WALK(keel_output_prompt_tokens);
  WALK(keel_output_cached_tokens);
  WALK(keel_output_reasoning_tokens);
  WALK(keel_output_vector);
  WALK(keel_output_part);
  WALK(keel_output_is_last);
  WALK(keel_models_new);
  WALK(keel_models_add);
  WALK(keel_models_remove);
  WALK(keel_models_load);
  WALK(keel_models_unload);
  WALK(keel_models_acquire);
  WALK(keel_models_list, {2});
  WALK(keel_check_model, {4});
  WALK(keel_plugin_inspect, {2});
  WALK(keel_plugin_pin, {4});
  WALK(keel_plugin_sign, {4});
  WALK(keel_plugin_verify, {3});
  WALK(keel_plugin_export_graph, {3});

  // Every function of the header was tried.
  std::ifstream file("sdk/abi/engine.h");
  const std::string header((std::istreambuf_iterator<char>(file)), {});
  const std::regex function(
      R"(KEEL_ENGINE_API [^;(]*?(keel_\w+)\(([^)]*\*[^)]*|[^)]*_fn [^)]*)\);)");
  size_t found = 0;
  for (std::sregex_iterator it(header.begin(), header.end(), function), end; it != end; ++it) {
    const std::string name = (*it)[1];
    if (name.ends_with("_free") || name.ends_with("_release")) continue;
    ++found;
    EXPECT_TRUE(walked_.contains(name)) << name << " is not tried";
  }
  EXPECT_EQ(found, walked_.size());
}

TEST_F(NullTest, FreesNothing) {
  keel_options_free(nullptr);
  keel_request_free(nullptr);
  keel_engine_free(nullptr);
  keel_models_free(nullptr);
  keel_models_release(nullptr);
}

TEST_F(NullTest, WithLengthZeroIsAnEmptyText) {
  keel_request* request = nullptr;
  ASSERT_EQ(keel_request_new(&request), 0);
  EXPECT_EQ(keel_request_set_prompt_text(request, nullptr, 0), 0);
  EXPECT_EQ(keel_request_set_prompt_tokens(request, nullptr, 0), 0);
  EXPECT_EQ(keel_request_set_string(request, "tools", nullptr, 0), 0);
  keel_request_free(request);
}

}  // namespace
