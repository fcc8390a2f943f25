// Several models in one process, through libkeel: who is loaded, who stays, and that all say what they say alone.
#include "sdk/keel/models.h"

#include <unistd.h>

#include <atomic>
#include <boost/json.hpp>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace keel {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;
using Tokens = std::vector<int32_t>;

constexpr int64_t kCacheBytes = 262144;

std::string NewDir(const std::string& name) {
  const fs::path dir = fs::path(::testing::TempDir()) / name;
  fs::remove_all(dir);
  fs::create_directories(dir);
  return dir.string();
}

// A family's tiny model with a tokenizer: only Llama's has one of its own.
std::string FamilyDir(const std::string& family) {
  const std::string dir = NewDir(family);
  for (const char* from : {"llama", family.c_str()}) {
    for (const auto& file :
         fs::directory_iterator("plugins/" + std::string(from) + "/testdata/default"))
      fs::copy_file(fs::canonical(file.path()), fs::path(dir) / file.path().filename(),
                    fs::copy_options::overwrite_existing);
  }
  for (const auto& file : fs::directory_iterator(dir))
    fs::permissions(file.path(), fs::perms::owner_write, fs::perm_options::add);
  return dir;
}

Options OptionsOf(const std::string& dir, int64_t cache_bytes = kCacheBytes) {
  Options options;
  EXPECT_TRUE(options.Set("model", dir).ok());
  EXPECT_TRUE(options.Set("kv-cache-memory-bytes", std::to_string(cache_bytes)).ok());
  return options;
}

Models NewModels(int64_t budget) {
  Result<Models> models = Models::Create(budget);
  EXPECT_TRUE(models.ok()) << models.status().message();
  return std::move(models).value();
}

struct Info {
  std::string state, error;
  int64_t leases = 0, requests = 0, weights = 0, cache = 0;

  int64_t bytes() const { return weights + cache; }
};

std::map<std::string, Info> List(const Models& models) {
  std::map<std::string, Info> out;
  const boost::json::value list = boost::json::parse(models.List().value());
  for (const boost::json::value& model : list.at("models").as_array()) {
    Info& info = out[model.at("name").as_string().c_str()];
    info.state = model.at("state").as_string().c_str();
    if (model.as_object().contains("error")) info.error = model.at("error").as_string().c_str();
    info.leases = model.at("leases").as_int64();
    info.requests = model.at("requests").as_int64();
    info.weights = model.at("weight_bytes").as_int64();
    info.cache = model.at("cache_bytes").as_int64();
  }
  return out;
}

Request Greedy(int seed, int64_t max_tokens) {
  Tokens prompt;
  for (int i = 0; i < 10; ++i) prompt.push_back(3 + (seed * 7919 + i * 31) % 100);
  Request request;
  EXPECT_TRUE(request.SetPromptTokens(prompt).ok());
  EXPECT_TRUE(request.SetInt("max_tokens", max_tokens).ok());
  EXPECT_TRUE(request.SetFloat("temperature", 0).ok());
  EXPECT_TRUE(request.SetInt("ignore_eos", 1).ok());
  return request;
}

// The tokens, when the request has ended. `delay` is slept at every output.
std::future<Tokens> Start(Engine& engine, int seed, int64_t max_tokens, int delay_ms = 0) {
  auto promise = std::make_shared<std::promise<Tokens>>();
  auto tokens = std::make_shared<Tokens>();
  std::future<Tokens> future = promise->get_future();
  const Result<uint64_t> id = engine.Submit(Greedy(seed, max_tokens), [=](const Output& output) {
    tokens->insert(tokens->end(), output.tokens().begin(), output.tokens().end());
    if (delay_ms > 0) std::this_thread::sleep_for(std::chrono::milliseconds(delay_ms));
    if (output.is_last()) promise->set_value(*tokens);
  });
  EXPECT_TRUE(id.ok()) << id.status().message();
  if (!id.ok()) promise->set_value({});
  return future;
}

// What the model says to each seed when it has an engine to itself.
std::vector<Tokens> Alone(const std::string& dir, int num_seeds, int64_t max_tokens) {
  Result<Engine> engine = Engine::Create(OptionsOf(dir));
  EXPECT_TRUE(engine.ok()) << engine.status().message();
  std::vector<Tokens> out;
  for (int seed = 0; seed < num_seeds; ++seed)
    out.push_back(Start(*engine, seed, max_tokens).get());
  return out;
}

bool HasEnded(const std::future<Tokens>& future) {
  return future.wait_for(std::chrono::seconds(0)) == std::future_status::ready;
}

class ModelsTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    dir_ = FamilyDir("llama");
    Models models = NewModels(0);
    ASSERT_TRUE(models.Add("a", OptionsOf(dir_)).ok());
    const Status status = models.Load("a");
    ASSERT_TRUE(status.ok()) << status.message();
    bytes_ = List(models)["a"].bytes();
    ASSERT_GT(bytes_, kCacheBytes);
  }

  // Room for so many, of the names given.
  static Models Make(int room, const std::vector<std::string>& names) {
    Models models = NewModels(room * bytes_ + bytes_ / 2);
    for (const std::string& name : names) EXPECT_TRUE(models.Add(name, OptionsOf(dir_)).ok());
    return models;
  }

  static std::string dir_;
  static int64_t bytes_;
};

std::string ModelsTest::dir_;
int64_t ModelsTest::bytes_ = 0;

TEST_F(ModelsTest, NamesAreUniqueAndUnknownOnesAreSaidWithTheKnown) {
  Models models = Make(1, {"a"});
  EXPECT_EQ(models.Add("a", OptionsOf(dir_)).code(), Code::kAlreadyExists);
  EXPECT_THAT(models.Load("b").message(), HasSubstr("no model is called 'b'; there are: a"));
  EXPECT_EQ(models.Acquire("b").status().code(), Code::kNotFound);
  EXPECT_EQ(models.Unload("b").code(), Code::kNotFound);
  EXPECT_EQ(List(models)["a"].state, "registered");
  EXPECT_TRUE(models.Unload("a").ok());
  ASSERT_TRUE(models.Load("a").ok());
  EXPECT_TRUE(models.Remove("a").ok());
  EXPECT_EQ(models.Remove("a").code(), Code::kNotFound);
}

TEST_F(ModelsTest, ModelsAnswerAtTheSameTimeWhatEachSaysAlone) {
  Models models = NewModels(1 << 30);
  std::map<std::string, std::string> dirs = {{"llama", dir_}};
  for (const char* family : {"mistral", "qwen2"}) dirs[family] = FamilyDir(family);
  std::vector<Lease> leases;
  std::map<std::string, std::vector<std::future<Tokens>>> answers;
  for (const auto& [name, dir] : dirs) {
    ASSERT_TRUE(models.Add(name, OptionsOf(dir)).ok());
    Result<Lease> lease = models.Acquire(name);
    ASSERT_TRUE(lease.ok()) << lease.status().message();
    leases.push_back(std::move(lease).value());
  }
  for (int seed = 0; seed < 4; ++seed) {
    size_t i = 0;
    for (const auto& [name, dir] : dirs)
      answers[name].push_back(Start(leases[i++].engine(), seed, 40));
  }
  for (const auto& [name, dir] : dirs) {
    const std::vector<Tokens> alone = Alone(dir, 4, 40);
    for (int seed = 0; seed < 4; ++seed)
      EXPECT_EQ(answers[name][seed].get(), alone[seed]) << name << " " << seed;
  }
}

TEST_F(ModelsTest, TheLeastRecentlyUsedIdleModelMakesRoom) {
  Models models = Make(2, {"a", "b", "c"});
  for (const char* name : {"a", "b", "a", "c"}) ASSERT_TRUE(models.Load(name).ok());
  auto list = List(models);
  EXPECT_EQ(list["a"].state, "ready");
  EXPECT_EQ(list["b"].state, "registered");
  EXPECT_EQ(list["b"].bytes(), 0);
  EXPECT_EQ(list["c"].state, "ready");
}

TEST_F(ModelsTest, AShareOfTheCacheIsOfWhatTheBudgetLeaves) {
  const int64_t budget = 8 * bytes_;
  Models models = NewModels(budget);
  Options options;
  ASSERT_TRUE(options.Set("model", dir_).ok());
  for (const char* name : {"a", "b"}) {
    ASSERT_TRUE(models.Add(name, options).ok());
    ASSERT_TRUE(models.Load(name).ok());
    const Info info = List(models)[name];
    const int64_t share = (budget - info.weights) / 4;
    EXPECT_GT(info.cache, share * 9 / 10) << name;
    EXPECT_LE(info.cache, share) << name;
  }
}

TEST_F(ModelsTest, AnAnsweringModelIsNeverEvicted) {
  Models models = Make(2, {"a", "b", "c"});
  std::future<Tokens> stream;
  {
    Result<Lease> lease = models.Acquire("a");
    ASSERT_TRUE(lease.ok()) << lease.status().message();
    stream = Start(lease->engine(), 0, 200, /*delay_ms=*/20);
  }
  // Used least recently, but it answers.
  for (const char* name : {"b", "c", "b"}) {
    const Status status = models.Load(name);
    ASSERT_TRUE(status.ok()) << status.message();
    EXPECT_EQ(List(models)["a"].state, "ready");
  }
  {
    Result<Lease> lease = models.Acquire("b");
    ASSERT_TRUE(lease.ok());
    const Status refused = models.Load("c");
    EXPECT_EQ(refused.code(), Code::kResourceExhausted);
    EXPECT_THAT(refused.message(),
                AllOf(HasSubstr("model 'c' needs"), HasSubstr("(answering: 0 leases, 1 request)"),
                      HasSubstr("(answering: 1 lease, 0 requests)")));
  }
  EXPECT_FALSE(HasEnded(stream));
  EXPECT_EQ(stream.get(), Alone(dir_, 1, 200)[0]);
  // Its end makes it idle.
  EXPECT_TRUE(models.Unload("b").ok());
  EXPECT_TRUE(models.Unload("a", 10000).ok());
}

TEST_F(ModelsTest, APinnedModelGoesOnlyWhenItIsTold) {
  Models models = Make(1, {"b"});
  ASSERT_TRUE(models.Add("a", OptionsOf(dir_), {.pinned = true}).ok());
  ASSERT_TRUE(models.Load("a").ok());
  EXPECT_THAT(models.Load("b").message(), HasSubstr("(pinned)"));
  EXPECT_EQ(List(models)["b"].state, "failed");
  EXPECT_EQ(List(models)["a"].state, "ready");
  EXPECT_TRUE(models.Unload("a").ok());
  EXPECT_TRUE(models.Load("b").ok());
}

TEST_F(ModelsTest, AModelThatIsBeingLoadedIsNeverEvictedAndIsLoadedOnce) {
  Models models = Make(1, {"b"});
  std::promise<void> may_go_on;
  std::shared_future<void> go_on = may_go_on.get_future().share();
  std::atomic<int> loads = 0;
  Options options = OptionsOf(dir_);
  ASSERT_TRUE(options
                  .SetProgress([&](std::string_view stage, int64_t, int64_t) {
                    if (stage != "reading configs") return;
                    ++loads;
                    go_on.wait();
                  })
                  .ok());
  ASSERT_TRUE(models.Add("a", options).ok());
  std::vector<std::future<Result<Lease>>> leases;
  for (int i = 0; i < 4; ++i)
    leases.push_back(std::async(std::launch::async, [&] { return models.Acquire("a"); }));
  while (loads == 0) std::this_thread::yield();
  std::future<Status> other = std::async(std::launch::async, [&] { return models.Load("b"); });
  EXPECT_EQ(other.wait_for(std::chrono::milliseconds(200)), std::future_status::timeout);
  EXPECT_EQ(List(models)["a"].state, "loading");
  EXPECT_THAT(models.Unload("a").message(), HasSubstr("it is being loaded"));
  may_go_on.set_value();
  EXPECT_EQ(other.get().code(), Code::kResourceExhausted);
  for (auto& lease : leases) {
    Result<Lease> held = lease.get();
    ASSERT_TRUE(held.ok()) << held.status().message();
    EXPECT_EQ(Start(held->engine(), 2, 5).get().size(), 5u);
  }
  EXPECT_EQ(loads, 1);
}

TEST_F(ModelsTest, AFailedLoadLeavesTheOthersAndIsTriedAgain) {
  Models models = Make(1, {"a"});
  const std::string missing = NewDir("missing");
  ASSERT_TRUE(models.Add("b", OptionsOf(missing)).ok());
  ASSERT_TRUE(models.Load("a").ok());
  const Status failed = models.Load("b");
  EXPECT_THAT(failed.message(), HasSubstr("config.json"));
  auto list = List(models);
  EXPECT_EQ(list["b"].state, "failed");
  EXPECT_EQ(list["b"].error, failed.message());
  EXPECT_EQ(list["a"].state, "ready");  // there was no reason to unload it
  EXPECT_EQ(Start(models.Acquire("a")->engine(), 3, 5).get().size(), 5u);

  fs::copy(dir_, missing, fs::copy_options::recursive);
  EXPECT_TRUE(models.Load("b").ok());
  list = List(models);
  EXPECT_EQ(list["b"].state, "ready");
  EXPECT_EQ(list["b"].error, "");
  EXPECT_EQ(list["a"].state, "registered");
}

TEST_F(ModelsTest, UnloadRefusesOrWaitsWhileTheModelIsInUse) {
  Models models = Make(1, {"a"});
  std::future<Tokens> stream;
  {
    Result<Lease> lease = models.Acquire("a");
    ASSERT_TRUE(lease.ok());
    stream = Start(lease->engine(), 0, 60, /*delay_ms=*/20);
    const Status busy = models.Unload("a");
    EXPECT_EQ(busy.code(), Code::kFailedPrecondition);
    EXPECT_THAT(busy.message(), HasSubstr("model 'a' is in use by 1 lease and 1 request"));
    EXPECT_EQ(models.Remove("a").code(), Code::kFailedPrecondition);
    EXPECT_EQ(models.Unload("a", 20).code(), Code::kDeadlineExceeded);
  }
  std::future<Status> unload =
      std::async(std::launch::async, [&] { return models.Unload("a", -1); });
  // Nobody new comes while it waits.
  Code code = Code::kOk;
  while (code == Code::kOk && !HasEnded(stream)) code = models.Acquire("a").status().code();
  EXPECT_EQ(code, Code::kUnavailable);
  EXPECT_TRUE(unload.get().ok());
  EXPECT_EQ(stream.get(), Alone(dir_, 1, 60)[0]);
  EXPECT_TRUE(models.Load("a").ok());
}

TEST_F(ModelsTest, ALeaseOutlivesTheModels) {
  auto models = std::make_unique<Models>(Make(1, {"a"}));
  Result<Lease> lease = models->Acquire("a");
  ASSERT_TRUE(lease.ok());
  models.reset();
  EXPECT_EQ(Start(lease->engine(), 5, 10).get().size(), 10u);
}

TEST_F(ModelsTest, ThreadsThatWantEverythingGetItOrAreToldWhy) {
  const std::vector<std::string> names = {"a", "b", "c", "d"};
  Models models = Make(2, names);
  const Tokens right = Alone(dir_, 1, 8)[0];
  std::atomic<int> answers = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      std::mt19937 random(t);
      for (int i = 0; i < 12; ++i) {
        const std::string& name = names[random() % names.size()];
        if (random() % 4 == 0) {
          const Code code = models.Unload(name, random() % 2 == 0 ? 0 : 30).code();
          EXPECT_TRUE(code == Code::kOk || code == Code::kFailedPrecondition ||
                      code == Code::kDeadlineExceeded);
          (void)List(models);
          continue;
        }
        Result<Lease> lease = models.Acquire(name);
        if (!lease.ok()) {
          EXPECT_TRUE(lease.status().code() == Code::kResourceExhausted ||
                      lease.status().code() == Code::kUnavailable)
              << lease.status().message();
          continue;
        }
        std::future<Tokens> answer = Start(lease->engine(), 0, 8);
        if (random() % 2 == 0) lease = Status(Code::kCancelled, "");  // before the answer is there
        EXPECT_EQ(answer.get(), right);
        ++answers;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_GT(answers, 0);
  for (const std::string& name : names) EXPECT_TRUE(models.Unload(name, 10000).ok());
  for (const auto& [name, info] : List(models)) EXPECT_EQ(info.leases, 0) << name;
}

TEST_F(ModelsTest, MetricsCarryTheNameThatClientsUse) {
  Models models = NewModels(1 << 30);
  ASSERT_TRUE(models.Add("small", OptionsOf("plugins/llama/testdata/default")).ok());
  Result<Lease> lease = models.Acquire("small");
  ASSERT_TRUE(lease.ok()) << lease.status().message();
  EXPECT_THAT(lease->engine().Metrics().value(), HasSubstr("model_name=\"small\""));
}

}  // namespace
}  // namespace keel
