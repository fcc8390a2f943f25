// The C interface by itself; what the libraries make of real files is tested in //core/text and //core/chat.
#include "third_party/text/keel_text.h"

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr char kTokenizer[] =
    R"({"version":"1.0","truncation":null,"padding":null,"added_tokens":[{"id":0,"content":"</s>",)"
    R"("single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":true}],)"
    R"("normalizer":null,"pre_tokenizer":{"type":"ByteLevel","add_prefix_space":false,)"
    R"("trim_offsets":true,"use_regex":true},"post_processor":null,"decoder":{"type":"ByteLevel",)"
    R"("add_prefix_space":false,"trim_offsets":true,"use_regex":true},"model":{"type":"BPE",)"
    R"("dropout":null,"unk_token":null,"continuing_subword_prefix":null,"end_of_word_suffix":null,)"
    R"("fuse_unk":false,"byte_fallback":false,"vocab":{"</s>":0,"{":1,"}":2,"\"":3,"a":4,":":5,)"
    R"("1":6,"2":7,"t":8,"r":9,"u":10,"e":11,"tr":12},"merges":["t r"]}})";
constexpr uint32_t kEos = 0;
constexpr size_t kVocabSize = 13;
constexpr keel_text_grammar_limits kLimits = {
    .initial_lexer_fuel = 1'000'000,
    .step_lexer_fuel = 200'000,
    .step_max_items = 50'000,
    .max_items_in_row = 2'000,
    .max_lexer_states = 50'000,
    .max_grammar_size = 500'000,
    .compile_ms = 10'000,
    .stack_bytes = 16 << 20,
};

void AppendIds(void* user, const uint32_t* ids, size_t n) {
  static_cast<std::vector<uint32_t>*>(user)->insert(
      static_cast<std::vector<uint32_t>*>(user)->end(), ids, ids + n);
}

void AppendText(void* user, const char* bytes, size_t n) {
  static_cast<std::string*>(user)->append(bytes, n);
}

struct Free {
  void operator()(keel_text_tokenizer* p) const { keel_text_tokenizer_free(p); }
  void operator()(keel_text_template* p) const { keel_text_template_free(p); }
  void operator()(keel_text_vocab* p) const { keel_text_vocab_free(p); }
  void operator()(keel_text_grammar* p) const { keel_text_grammar_free(p); }
};
template <typename T>
using Owned = std::unique_ptr<T, Free>;

Owned<keel_text_tokenizer> NewTokenizer(const std::string& added = "") {
  keel_text_tokenizer* tokenizer = nullptr;
  keel_text_error error;
  EXPECT_EQ(keel_text_tokenizer_new(kTokenizer, sizeof(kTokenizer) - 1, added.data(), added.size(),
                                    /*add_prefix_space=*/-1, &tokenizer, &error),
            KEEL_TEXT_OK)
      << error.message;
  return Owned<keel_text_tokenizer>(tokenizer);
}

class GrammarTest : public ::testing::Test {
 protected:
  GrammarTest() {
    keel_text_vocab* vocab = nullptr;
    keel_text_error error;
    EXPECT_EQ(keel_text_vocab_new(tokenizer_.get(), kVocabSize, &kEos, 1, &kLimits, &vocab, &error),
              KEEL_TEXT_OK)
        << error.message;
    vocab_.reset(vocab);
  }

  keel_text_status New(const char* kind, const std::string& source,
                       const keel_text_grammar_options* options = nullptr) {
    keel_text_grammar* grammar = nullptr;
    const keel_text_status status = keel_text_grammar_new(
        vocab_.get(), kind, source.data(), source.size(), options, &grammar, &error_);
    grammar_.reset(grammar);
    return status;
  }

  std::vector<uint32_t> Allowed() {
    uint32_t mask = 0;
    EXPECT_EQ(keel_text_grammar_mask(grammar_.get(), &mask, 1, &error_), KEEL_TEXT_OK)
        << error_.message;
    std::vector<uint32_t> ids;
    for (uint32_t id = 0; id < kVocabSize; ++id) {
      if (mask >> id & 1) ids.push_back(id);
    }
    return ids;
  }

  void Consume(uint32_t id) {
    ASSERT_EQ(keel_text_grammar_consume(grammar_.get(), id, &error_), KEEL_TEXT_OK)
        << error_.message;
  }

  Owned<keel_text_tokenizer> tokenizer_ = NewTokenizer();
  Owned<keel_text_vocab> vocab_;
  Owned<keel_text_grammar> grammar_;
  keel_text_error error_ = {};
};

TEST_F(GrammarTest, ARegexAllowsWhatContinuesIt) {
  ASSERT_EQ(New("regex", "a(1|2)+"), KEEL_TEXT_OK) << error_.message;
  EXPECT_THAT(Allowed(), ElementsAre(4));
  Consume(4);
  EXPECT_THAT(Allowed(), ElementsAre(6, 7));
  Consume(7);
  EXPECT_THAT(Allowed(), ElementsAre(kEos, 6, 7));
  int32_t accepting = 0, stopped = 1;
  ASSERT_EQ(keel_text_grammar_state(grammar_.get(), &accepting, &stopped, &error_), KEEL_TEXT_OK);
  EXPECT_TRUE(accepting);
  EXPECT_FALSE(stopped);
}

TEST_F(GrammarTest, AJsonSchemaLeadsToItsDocument) {
  ASSERT_EQ(New("json_schema", R"({"type": "object", "properties": {"a": {"const": true}},
                                   "required": ["a"], "additionalProperties": false})"),
            KEEL_TEXT_OK)
      << error_.message;
  for (const uint32_t id : {1, 3, 4, 3, 5, 12, 10, 11, 2}) {
    EXPECT_THAT(Allowed(), ::testing::Contains(id));
    Consume(id);
  }
  EXPECT_THAT(Allowed(), ElementsAre(kEos));
}

TEST_F(GrammarTest, ACloneGoesItsOwnWay) {
  ASSERT_EQ(New("lark", "start: \"a\" (\"1\" | \"2\" \"2\")"), KEEL_TEXT_OK) << error_.message;
  Consume(4);
  keel_text_grammar* clone = nullptr;
  ASSERT_EQ(keel_text_grammar_clone(grammar_.get(), &clone, &error_), KEEL_TEXT_OK);
  const Owned<keel_text_grammar> owned(clone);
  Consume(6);
  EXPECT_THAT(Allowed(), ElementsAre(kEos));
  grammar_.reset();
  ASSERT_EQ(keel_text_grammar_consume(clone, 7, &error_), KEEL_TEXT_OK) << error_.message;
  EXPECT_NE(keel_text_grammar_consume(clone, 6, &error_), KEEL_TEXT_OK);
}

TEST_F(GrammarTest, OptionsCloseObjectsAndForbidWhitespace) {
  const std::string schema = R"({"type": "object", "properties": {"a": {"const": 1}}})";
  const keel_text_grammar_options options = {.no_whitespace = 1,
                                             .closed_objects = 1,
                                             .whitespace_pattern = nullptr,
                                             .n_whitespace_pattern = 0};
  ASSERT_EQ(New("json_schema", schema, &options), KEEL_TEXT_OK) << error_.message;
  for (const uint32_t id : {1, 3, 4, 3, 5, 6}) Consume(id);
  EXPECT_THAT(Allowed(), ElementsAre(2));
}

TEST_F(GrammarTest, WhatExceedsTheLimitsIsToldFromWhatIsWrong) {
  keel_text_grammar_limits limits = kLimits;
  limits.initial_lexer_fuel = 10;
  keel_text_vocab* vocab = nullptr;
  ASSERT_EQ(keel_text_vocab_new(tokenizer_.get(), kVocabSize, &kEos, 1, &limits, &vocab, &error_),
            KEEL_TEXT_OK);
  vocab_.reset(vocab);
  EXPECT_EQ(New("regex", "a(1|2){1,100}t"), KEEL_TEXT_LIMIT);
  EXPECT_THAT(error_.message, HasSubstr("too big"));
}

TEST_F(GrammarTest, ARegexHoldsForTheWholeText) {
  ASSERT_EQ(New("regex", "^a1$"), KEEL_TEXT_OK) << error_.message;
  Consume(4);
  Consume(6);
  EXPECT_THAT(Allowed(), ElementsAre(kEos));
  EXPECT_EQ(New("regex", ""), KEEL_TEXT_OK) << error_.message;
  EXPECT_THAT(Allowed(), ElementsAre(kEos));
}

TEST_F(GrammarTest, SaysWhatIsWrongWithAGrammar) {
  EXPECT_EQ(New("regex", "a("), KEEL_TEXT_INVALID);
  EXPECT_EQ(New("json_schema", "{"), KEEL_TEXT_INVALID);
  EXPECT_EQ(New("lark", "start: nothing"), KEEL_TEXT_INVALID);
  EXPECT_THAT(error_.message, HasSubstr("nothing"));
  EXPECT_EQ(New("prolog", "a :- b."), KEEL_TEXT_INVALID);
}

TEST(TokenizerTest, AddsTokensAndTellsThem) {
  const auto tokenizer = NewTokenizer(R"([{"content": "<x>", "special": true}, {"content": "</s>",
                                           "special": true, "keep": true}])");
  EXPECT_EQ(keel_text_vocab_size(tokenizer.get()), kVocabSize + 1);
  std::vector<uint32_t> special;
  keel_text_added_ids(tokenizer.get(), 1, AppendIds, &special);
  EXPECT_THAT(special, ElementsAre(kEos, kVocabSize));

  std::vector<uint32_t> ids;
  keel_text_error error;
  ASSERT_EQ(keel_text_encode(tokenizer.get(), "tra<x>", 6, 1, 0, AppendIds, &ids, &error),
            KEEL_TEXT_OK);
  EXPECT_THAT(ids, ElementsAre(12, 4, kVocabSize));
  std::string text;
  ASSERT_EQ(keel_text_decode(tokenizer.get(), ids.data(), ids.size(), 1, AppendText, &text, &error),
            KEEL_TEXT_OK);
  EXPECT_EQ(text, "tra");
}

TEST(TokenizerTest, GivesTheBytesOfATokenInsideOfAText) {
  const auto tokenizer = NewTokenizer(R"([{"content": "<x>", "special": true}])");
  for (const auto& [id, expected] :
       std::map<uint32_t, std::string>{{4, "a"}, {12, "tr"}, {kVocabSize, "<x>"}}) {
    std::string bytes;
    EXPECT_TRUE(keel_text_token_bytes(tokenizer.get(), id, AppendText, &bytes));
    EXPECT_EQ(bytes, expected);
  }
  std::string none;
  EXPECT_FALSE(keel_text_token_bytes(tokenizer.get(), 99, AppendText, &none));
}

TEST(TemplateTest, TellsHowContentIsRead) {
  for (const auto& [source, expected] : std::map<std::string, keel_text_content_format>{
           {"{{ messages[0].content }}", KEEL_TEXT_CONTENT_STRING},
           {"{% for p in messages[0].content %}{% endfor %}", KEEL_TEXT_CONTENT_PARTS},
           {"{% if messages[0].content is string %}{% endif %}"
            "{% for p in messages[0].content %}{% endfor %}",
            KEEL_TEXT_CONTENT_PARTS_OR_STRING}}) {
    keel_text_template* chat_template = nullptr;
    keel_text_error error;
    ASSERT_EQ(
        keel_text_template_new(source.data(), source.size(), 1000, 1000, &chat_template, &error),
        KEEL_TEXT_OK)
        << error.message;
    const Owned<keel_text_template> owned(chat_template);
    EXPECT_EQ(keel_text_template_content_format(chat_template), expected) << source;
  }
}

TEST(TokenizerTest, APanicOfTheLibraryIsAnError) {
  std::string json = kTokenizer;
  // The charsmap's trie ends before its first unit.
  json.replace(json.find("\"normalizer\":null"), 17,
               R"("normalizer":{"type":"Precompiled","precompiled_charsmap":"AAAAAGE="})");
  keel_text_tokenizer* tokenizer = nullptr;
  keel_text_error error = {};
  keel_text_status status =
      keel_text_tokenizer_new(json.data(), json.size(), nullptr, 0, -1, &tokenizer, &error);
  const Owned<keel_text_tokenizer> owned(tokenizer);
  std::vector<uint32_t> ids;
  if (status == KEEL_TEXT_OK) {
    status = keel_text_encode(tokenizer, "abc", 3, 1, 0, AppendIds, &ids, &error);
  }
  EXPECT_EQ(status, KEEL_TEXT_PANIC) << error.message;
  EXPECT_THAT(error.message, HasSubstr("src/"));
}

TEST(TemplateTest, TellsARefusalFromAnError) {
  const std::string source = "{{ raise_exception(why) }}";
  keel_text_template* chat_template = nullptr;
  keel_text_error error;
  ASSERT_EQ(
      keel_text_template_new(source.data(), source.size(), 1000, 1000, &chat_template, &error),
      KEEL_TEXT_OK);
  const Owned<keel_text_template> owned(chat_template);
  const std::string context = R"({"why": "no roles"})";
  std::string text;
  EXPECT_EQ(keel_text_template_render(chat_template, context.data(), context.size(), nullptr,
                                      AppendText, &text, &error),
            KEEL_TEXT_REFUSED);
  EXPECT_STREQ(error.message, "no roles");
  EXPECT_EQ(keel_text_template_render(chat_template, "[", 1, nullptr, AppendText, &text, &error),
            KEEL_TEXT_INVALID);
  EXPECT_EQ(text, "");
}

}  // namespace
