#include "apps/server/served_models.h"

#include <algorithm>
#include <map>

#include "apps/common/json_fields.h"
#include "apps/common/load.h"
#include "boost/json/array.hpp"

namespace keel::apps {
namespace json = boost::json;
namespace {

// {id: its object in keel_models_list}
std::map<std::string, json::object> UsageById(const Models& models) {
  std::map<std::string, json::object> all;
  const Result<std::string> text = models.List();
  if (!text.ok()) return all;
  const json::object list = ParseObject(*text);
  const json::value* array = list.if_contains("models");
  if (array == nullptr || !array->is_array()) return all;
  for (const json::value& model : array->get_array()) {
    if (!model.is_object() || !model.get_object().contains("name")) continue;
    all.emplace(std::string(model.at("name").as_string()), model.get_object());
  }
  return all;
}

}  // namespace

Result<std::unique_ptr<ServedModels>> ServedModels::Create(int64_t budget_bytes) {
  Result<Models> models = Models::Create(budget_bytes);
  if (!models.ok()) return models.status();
  return std::unique_ptr<ServedModels>(new ServedModels(*std::move(models)));
}

Status ServedModels::Add(ModelConfig config) {
  for (const std::string& name : config.names) {
    if (std::find(names_.begin(), names_.end(), name) != names_.end()) {
      return Status(Code::kAlreadyExists, "two models are called '" + name +
                                              "', expected another name for each: --model "
                                              "NAME=PATH");
    }
  }
  Entry& entry = entries_.emplace_back();
  entry.config = std::move(config);
  entry.created = std::chrono::duration_cast<std::chrono::seconds>(
                      std::chrono::system_clock::now().time_since_epoch())
                      .count();
  Status status = entry.config.options.SetProgress(
      [&entry](std::string_view stage, int64_t done, int64_t total) {
        entry.progress.Show(stage, done, total);
      });
  if (!status.ok()) return status;
  names_.insert(names_.end(), entry.config.names.begin(), entry.config.names.end());
  return models_.Add(entry.config.names.front(), entry.config.options,
                     {.pinned = entry.config.is_pinned});
}

ServedModels::Entry& ServedModels::Find(const std::string& name) {
  // Callers have `name` from names().
  return *std::find_if(entries_.begin(), entries_.end(), [&](const Entry& entry) {
    const std::vector<std::string>& names = entry.config.names;
    return std::find(names.begin(), names.end(), name) != names.end();
  });
}

json::object ServedModels::UsageOf(const std::string& id) const {
  auto all = UsageById(models_);
  return std::move(all[id]);
}

ServedModels::State ServedModels::StateOf(const Entry& entry, json::object usage) {
  State state{.names = entry.config.names,
              .root = entry.config.root,
              .created = entry.created,
              .state = TextField(usage, "state"),
              .usage = std::move(usage),
              .info = {}};
  if (state.state != "ready") return state;
  std::lock_guard lock(entry.mutex);
  state.info = ParseObject(entry.info);
  return state;
}

ServedModels::State ServedModels::Describe(const std::string& name) const {
  const Entry& entry = Find(name);
  return StateOf(entry, UsageOf(entry.config.names.front()));
}

std::vector<ServedModels::State> ServedModels::List() const {
  auto usage = UsageById(models_);
  std::vector<State> states;
  for (const Entry& entry : entries_) {
    states.push_back(StateOf(entry, std::move(usage[entry.config.names.front()])));
  }
  return states;
}

bool ServedModels::IsReady(const std::string& name) const {
  return TextField(UsageOf(Find(name).config.names.front()), "state") == "ready";
}

Status ServedModels::Load(const std::string& name) {
  if (IsReady(name)) return Status();
  Entry& entry = Find(name);
  const LoadLog log(entry.config.root);
  Status status = models_.Load(entry.config.names.front());
  entry.progress.Clear();
  if (!status.ok()) return status;
  Result<Lease> lease = models_.Acquire(entry.config.names.front());
  if (!lease.ok()) return lease.status();
  std::lock_guard lock(entry.mutex);
  entry.info = lease->engine().info();
  log.Loaded(ParseObject(entry.info));
  return Status();
}

Result<std::shared_ptr<Engine>> ServedModels::Acquire(const std::string& name) {
  if (!IsReady(name)) {
    if (Status status = Load(name); !status.ok()) return status;
  }
  Result<Lease> lease = models_.Acquire(Find(name).config.names.front());
  if (!lease.ok()) return lease.status();
  const auto shared = std::make_shared<Lease>(*std::move(lease));
  return std::shared_ptr<Engine>(shared, &shared->engine());
}

Status ServedModels::Unload(const std::string& name, std::chrono::milliseconds timeout) {
  return models_.Unload(Find(name).config.names.front(), timeout.count());
}

void ServedModels::ForEachReady(const std::function<void(const std::string&, Engine&)>& fn) {
  // Least recently used first: being looked at counts as use, and this keeps the order, by which models
  // are unloaded.
  std::vector<State> states = List();
  std::sort(states.begin(), states.end(), [](const State& a, const State& b) {
    return NumberField(a.usage, "last_used_unix_ms") < NumberField(b.usage, "last_used_unix_ms");
  });
  for (const State& state : states) {
    if (state.state != "ready") continue;
    Result<Lease> lease = models_.Acquire(state.names.front());
    if (lease.ok()) fn(state.names.front(), lease->engine());
  }
}

bool ServedModels::Close(std::chrono::milliseconds timeout) {
  bool all = true;
  for (const Entry& entry : entries_) {
    const std::string& id = entry.config.names.front();
    if (TextField(UsageOf(id), "state") == "ready") all &= models_.Unload(id, timeout.count()).ok();
  }
  return all;
}

}  // namespace keel::apps
