#include "core/attention/choose.h"

#include <string>

#include "core/base/status_matchers.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel {
namespace {

using ::keel::testing::IsOk;
using ::keel::testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// Supports everything, or nothing.
class Fake : public AttentionImplementation {
 public:
  explicit Fake(absl::Status supports, bool invariant = false)
      : supports_(std::move(supports)), invariant_(invariant) {}
  absl::Status Supports(const AttentionUse&) const override { return supports_; }
  absl::StatusOr<std::unique_ptr<AttentionInstance>> Prepare(const AttentionUse&) const override {
    return absl::InternalError("nobody runs it");
  }
  bool is_invariant() const override { return invariant_; }

 private:
  const absl::Status supports_;
  const bool invariant_;
};

class ChooseAttentionTest : public ::testing::Test {
 protected:
  ChooseAttentionTest() {
    desc_.struct_size = sizeof(desc_);
    desc_.heads = desc_.kv_heads = 2;
    desc_.qk_dim = desc_.v_dim = 8;
    EXPECT_THAT(registry_.Register("org.example.flash", std::make_shared<Fake>(absl::OkStatus())),
                IsOk());
    EXPECT_THAT(registry_.Register("org.example.exact",
                                   std::make_shared<Fake>(absl::OkStatus(), /*invariant=*/true)),
                IsOk());
    EXPECT_THAT(registry_.Register("bare", std::make_shared<Fake>(absl::OkStatus())), IsOk());
    EXPECT_THAT(registry_.Register("org.example.small",
                                   std::make_shared<Fake>(absl::UnimplementedError("no window"))),
                IsOk());
  }

  absl::StatusOr<AttentionChoice> Choose(const AttentionWish& wish, const char* declared = "",
                                         std::vector<std::string> args = {},
                                         const char* part = "text") {
    desc_.impl = declared;
    return ChooseAttention({&desc_, DType::kF32, 16, std::move(args), {}, part}, wish, registry_);
  }
  // "name (reason)"
  std::string Chosen(const AttentionWish& wish, const char* declared = "",
                     const char* part = "text") {
    const auto choice = Choose(wish, declared, {}, part);
    return choice.ok() ? choice->name + " (" + choice->reason + ")"
                       : std::string(choice.status().message());
  }

  AttentionRegistry registry_;
  keel_attention_desc desc_ = {};
};

TEST_F(ChooseAttentionTest, DeclarationBeforeFlagBeforeSpecBeforeConfigBeforeTheHost) {
  AttentionWish wish{.flag = "eager", .spec = "bare", .config = "org.example.flash"};
  EXPECT_EQ(Chosen(wish, "sdpa"), "sdpa (the model declares it)");
  EXPECT_EQ(Chosen(wish), "eager (--attention-implementation)");
  wish.flag = "";
  EXPECT_EQ(Chosen(wish), "bare (attn_implementation of the model's spec)");
  wish.spec = "";
  EXPECT_EQ(Chosen(wish), "org.example.flash (config.json: _attn_implementation)");
  wish.config = "";
  EXPECT_EQ(Chosen(wish), "paged (the host's choice)");
}

TEST_F(ChooseAttentionTest, TransformersOwnNamesInASpecOrConfigLeaveTheChoiceToTheHost) {
  for (const char* name : {"eager", "sdpa", "paged", "flash_attention_2", "flash_attention_3",
                           "flex_attention", "paged|sdpa", "kernels-community/flash-attn3"}) {
    for (const AttentionWish& wish : {AttentionWish{.config = name}, AttentionWish{.spec = name}}) {
      KEEL_ASSERT_OK_AND_ASSIGN(const AttentionChoice choice, Choose(wish));
      EXPECT_EQ(choice.name, "paged") << name;
      EXPECT_EQ(choice.reason, "the host's choice") << name;
      EXPECT_THAT(choice.warning, IsEmpty()) << name;
    }
  }
}

TEST_F(ChooseAttentionTest, ANameThatNobodyProvidesWarnsAndOneWithADotIsRefused) {
  KEEL_ASSERT_OK_AND_ASSIGN(const AttentionChoice choice, Choose({.config = "ring"}));
  EXPECT_EQ(choice.name, "paged");
  EXPECT_THAT(choice.warning,
              AllOf(HasSubstr("_attn_implementation is \"ring\""), HasSubstr("no plugin brings")));
  EXPECT_THAT(Choose({.config = "org.example.ring"}),
              StatusIs(absl::StatusCode::kNotFound,
                       AllOf(HasSubstr("config.json: _attn_implementation"),
                             HasSubstr("org.example.ring"), HasSubstr("org.example.flash"))));
}

TEST_F(ChooseAttentionTest, WhatIsNamedAndMissingOrLackingIsRefusedNotReplaced) {
  EXPECT_THAT(Choose({.flag = "flash"}),
              StatusIs(absl::StatusCode::kNotFound,
                       AllOf(HasSubstr("--attention-implementation"), HasSubstr("paged"))));
  EXPECT_THAT(Choose({}, "flash"), StatusIs(absl::StatusCode::kNotFound,
                                            HasSubstr("the model declares it: no attention")));
  EXPECT_THAT(Choose({.config = "org.example.small"}),
              StatusIs(absl::StatusCode::kUnimplemented,
                       AllOf(HasSubstr("_attn_implementation"), HasSubstr("no window"))));
}

TEST_F(ChooseAttentionTest, AnArgumentThatNoImplementationKnowsIsRefusedWithThoseItKnows) {
  for (const char* flag : {"", "eager", "sdpa", "paged"}) {
    EXPECT_THAT(Choose({.flag = flag}, "", {"alibi_slope"}),
                StatusIs(absl::StatusCode::kUnimplemented,
                         AllOf(HasSubstr("\"alibi_slope\""), HasSubstr("alibi_slopes"))))
        << flag;
  }
  EXPECT_THAT(Choose({.numerics = Numerics::kInvariant}, "", {"alibi_slope"}),
              StatusIs(absl::StatusCode::kUnimplemented, HasSubstr("\"alibi_slope\"")));
  EXPECT_THAT(Choose({.flag = "bare"}, "", {"its_own"}), IsOk());
  KEEL_ASSERT_OK_AND_ASSIGN(const AttentionChoice choice, Choose({}, "", {"sinks"}));
  EXPECT_EQ(choice.name, "paged");
}

TEST_F(ChooseAttentionTest, AnOptionalArgumentMayBeUnknown) {
  const AttentionUse use{&desc_, DType::kF32, 16, {"sinks", "hint"}, {0, KEEL_ARG_OPTIONAL}};
  EXPECT_THAT(ChooseAttention(use, {}, registry_), IsOk());
  const AttentionUse other{&desc_, DType::kF32, 16, {"sinks", "hint"}, {KEEL_ARG_OPTIONAL, 0}};
  EXPECT_THAT(ChooseAttention(other, {}, registry_),
              StatusIs(absl::StatusCode::kUnimplemented, HasSubstr("\"hint\"")));
}

TEST_F(ChooseAttentionTest, TextAndTowerAreChosenApart) {
  const AttentionWish wish{.flag = "text=org.example.flash,image=sdpa", .spec = "bare"};
  EXPECT_EQ(Chosen(wish), "org.example.flash (--attention-implementation)");
  EXPECT_EQ(Chosen(wish, "", "image"), "sdpa (--attention-implementation)");
  EXPECT_EQ(Chosen(wish, "", "audio"), "paged (the host's choice)");
  EXPECT_EQ(Chosen({.spec = "bare"}, "", "image"), "paged (the host's choice)");
  EXPECT_EQ(Chosen({.flag = "image=sdpa", .spec = "bare"}),
            "bare (attn_implementation of the model's spec)");
  for (const char* flag :
       {"text=", "=sdpa", "smell=sdpa", "text=sdpa,text=eager", "text=sdpa,eager"}) {
    EXPECT_THAT(Choose({.flag = flag}),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         AllOf(HasSubstr("--attention-implementation"), HasSubstr("text=NAME"))))
        << flag;
  }
}

TEST_F(ChooseAttentionTest, InvariantNumericsTakePagedOrAClassThatPromisesThem) {
  const Numerics invariant = Numerics::kInvariant;
  EXPECT_EQ(Chosen({.numerics = invariant}), "paged (--deterministic)");
  EXPECT_EQ(Chosen({.flag = "paged", .numerics = invariant}), "paged (--deterministic)");
  EXPECT_EQ(Chosen({.config = "eager", .numerics = invariant}), "paged (--deterministic)");
  for (const AttentionWish& wish :
       {AttentionWish{.flag = "eager", .numerics = invariant},
        AttentionWish{.config = "org.example.flash", .numerics = invariant}}) {
    EXPECT_THAT(Choose(wish), StatusIs(absl::StatusCode::kInvalidArgument,
                                       HasSubstr("--deterministic takes paged, or")));
  }
  EXPECT_EQ(Chosen({.flag = "org.example.exact", .numerics = invariant}),
            "org.example.exact (--attention-implementation)");
  EXPECT_EQ(Chosen({.spec = "org.example.exact", .numerics = invariant}),
            "org.example.exact (attn_implementation of the model's spec)");
  EXPECT_THAT(Choose({.flag = "flash", .numerics = invariant}),
              StatusIs(absl::StatusCode::kNotFound));
}

}  // namespace
}  // namespace keel
