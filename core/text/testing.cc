#include "core/text/testing.h"

#include "absl/strings/str_cat.h"
#include "core/base/file.h"
#include "core/base/json.h"
#include "gtest/gtest.h"

namespace keel::testing {
namespace {

template <typename T>
T Must(absl::StatusOr<T> value) {
  if (!value.ok()) {
    ADD_FAILURE() << value.status();
    std::abort();
  }
  return *std::move(value);
}

}  // namespace

std::string TestData(const std::string& name) { return absl::StrCat("core/text/testdata/", name); }

boost::json::value ReadJsonTestData(const std::string& name) {
  return Must(ParseJson(Must(ReadFile(TestData(name))), name));
}

TextFiles TestFiles(const std::string& name) { return Must(ReadTextFiles(TestData(name))); }

std::shared_ptr<const Tokenizer> TestTokenizer(const std::string& name) {
  return Must(Tokenizer::Create(TestFiles(name)));
}

}  // namespace keel::testing
