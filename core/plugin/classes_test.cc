// Every pointer of a class, NULL in turn: what is optional may be, the rest is refused by name.
#include "core/plugin/classes.h"

#include <cstring>
#include <set>
#include <string>

#include "core/base/status_matchers.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "sdk/abi/plugin.h"

namespace keel {
namespace {

using ::keel::testing::StatusIs;
using ::testing::HasSubstr;

const char* g_id = "";  // of the list that the plugin has
const keel_list* g_list = nullptr;
const void* GetInterface(void*, const char* id) {
  return std::strcmp(id, g_id) == 0 ? g_list : nullptr;
}

// The status of a plugin with this one class.
template <typename T>
absl::Status Read(const char* id, const T& one) {
  const void* const items[] = {&one};
  const keel_list list = {sizeof(list), 1, items};
  g_id = id, g_list = &list;
  keel_plugin plugin = {};
  plugin.flags = KEEL_PLUGIN_HAS_KERNELS;
  plugin.get_interface = GetInterface;
  return ReadPluginClasses(plugin, nullptr).status();
}

const char* const kNames[] = {"Name", nullptr};
const int32_t kDevices[] = {1, 0};
void Function() {}

// A class whose members from `first` to its end are pointers: all set, to functions but for those
// that are given.
template <typename T>
T Whole(size_t first, std::initializer_list<std::pair<size_t, const void*>> data) {
  T out = {};
  out.struct_size = sizeof(T);
  for (size_t at = first; at < sizeof(T); at += sizeof(void*)) {
    void (*function)() = Function;
    std::memcpy(reinterpret_cast<char*>(&out) + at, &function, sizeof(function));
  }
  for (const auto& [at, pointer] : data)
    std::memcpy(reinterpret_cast<char*>(&out) + at, &pointer, sizeof(pointer));
  return out;
}

template <typename T>
void ExpectEachMayBeNullOrIsRefused(const char* id, const T& whole,
                                    const std::set<size_t>& optional) {
  KEEL_EXPECT_OK(Read(id, whole));
  for (size_t at = offsetof(T, flags) + sizeof(whole.flags); at < sizeof(T); at += sizeof(void*)) {
    T one = whole;
    std::memset(reinterpret_cast<char*>(&one) + at, 0, sizeof(void*));
    const absl::Status status = Read(id, one);
    if (optional.count(at) > 0) {
      KEEL_EXPECT_OK(status) << id << ", member at " << at;
    } else {
      EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << id << ", member at " << at;
    }
  }
}

keel_model_class Model() {
  using C = keel_model_class;
  return Whole<C>(offsetof(C, name), {{offsetof(C, name), kNames[0]},
                                      {offsetof(C, model_type), kNames[0]},
                                      {offsetof(C, architectures), kNames}});
}

TEST(PluginClassesTest, AModelHasWhatEveryModelNeeds) {
  using C = keel_model_class;
  ExpectEachMayBeNullOrIsRefused(
      "keel.models/1", Model(),
      {offsetof(C, model_type), offsetof(C, logits), offsetof(C, encode), offsetof(C, pool)});
}

TEST(PluginClassesTest, AProcessorHasWhatEveryProcessorNeeds) {
  using C = keel_processor_class;
  ExpectEachMayBeNullOrIsRefused("keel.processors/1",
                                 Whole<C>(offsetof(C, names), {{offsetof(C, names), kNames}}),
                                 {offsetof(C, expand), offsetof(C, chat), offsetof(C, positions)});
}

TEST(PluginClassesTest, AKernelHasWhatEveryKernelNeeds) {
  using C = keel_kernel_class;
  const C whole = Whole<C>(offsetof(C, name),
                           {{offsetof(C, name), kNames[0]}, {offsetof(C, device_types), kDevices}});
  ExpectEachMayBeNullOrIsRefused("keel.kernels/1", whole, {offsetof(C, workspace)});
}

// A class as long as its interface's first release had it is taken for ever, a longer one too.
TEST(PluginClassesTest, SizesAreThoseOfTheFirstRelease) {
  struct {
    keel_model_class known = Model();
    void* later = &later;
  } longer;
  longer.known.struct_size = sizeof(longer);
  KEEL_EXPECT_OK(Read("keel.models/1", longer.known));
  longer.known.struct_size = KEEL_MODEL_CLASS_MIN_SIZE;
  KEEL_EXPECT_OK(Read("keel.models/1", longer.known));
  longer.known.struct_size = KEEL_MODEL_CLASS_MIN_SIZE - 8;
  EXPECT_THAT(Read("keel.models/1", longer.known),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("struct_size is 80, expected at least 88 bytes")));
}

}  // namespace
}  // namespace keel
