// What the tests of this folder share.
#ifndef KEEL_CORE_TEXT_TESTING_H_
#define KEEL_CORE_TEXT_TESTING_H_

#include <boost/json/value.hpp>
#include <memory>
#include <string>

#include "core/text/text_files.h"
#include "core/text/tokenizer.h"

namespace keel::testing {

// "core/text/testdata/<name>" where the test runs; ends the test if there is none.
std::string TestData(const std::string& name);

// testdata/<name>, parsed.
boost::json::value ReadJsonTestData(const std::string& name);

// testdata/<name>/ as files and as a tokenizer.
TextFiles TestFiles(const std::string& name);
std::shared_ptr<const Tokenizer> TestTokenizer(const std::string& name);

// The folders of testdata/ that hold a tokenizer and its golden.json.
inline constexpr const char* kTokenizers[] = {"byte_level", "gpt2",    "llama2",
                                              "qwen",       "unigram", "wordpiece"};

}  // namespace keel::testing

#endif  // KEEL_CORE_TEXT_TESTING_H_
