// keel: all programs under one name.
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <iomanip>
#include <iostream>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "apps/common/nearest.h"
#include "apps/common/programs.h"
#include "sdk/keel/engine.h"
#include "tools/cpp/runfiles/runfiles.h"

namespace keel::apps {
namespace {

namespace fs = std::filesystem;
using bazel::tools::cpp::runfiles::Runfiles;

constexpr int kColumn = 12, kWrongCommand = 2;

struct Command {
  const char* name;
  const char* summary;
  int (*run)(int argc, char** argv);  // null: a program of its own, beside this one
};

constexpr Command kCommands[] = {
    {"serve", "serve models over HTTP, by OpenAI's API and others", ServerMain},
    {"batch", "answer a file of requests", BatchMain},
    {"chat", "talk with a model in the terminal", ChatMain},
    {"check", "tell whether a model can be served, clause by clause", CheckMain},
    {"bench", "measure a model, or a server", BenchMain},
    {"plugin", "look at plugins, pin and sign them", PluginMain},
    {"validate", "tell whether a plugin keeps its contract", nullptr},
    {"new", "make a project for a plugin", nullptr},
};

bool IsProgram(const fs::path& path) { return access(path.c_str(), X_OK) == 0; }

// The words that a program begins with: `keel-NAME` beside this one, else where the build has it.
std::vector<std::string> FindProgram(const std::string& name, const char* argv0) {
  std::error_code error;
  const fs::path beside =
      fs::read_symlink("/proc/self/exe", error).parent_path() / ("keel-" + name);
  if (IsProgram(beside)) return {beside};
  const std::unique_ptr<Runfiles> runfiles(Runfiles::Create(argv0, nullptr));
  if (runfiles == nullptr) return {};
  for (const auto& [variable, value] : runfiles->EnvVars()) {
    setenv(variable.c_str(), value.c_str(), /*overwrite=*/1);  // its own files are there, too
  }
  const auto find = [&](const std::string& path) {
    return fs::absolute(runfiles->Rlocation("keel/" + path)).string();
  };
  const std::string built = find("apps/" + name + "/" + name);
  if (!IsProgram(built)) return {};
  if (name == "new") return {built, find("sdk/dist/keel-sdk.tar.gz")};
  return {built};
}

void PrintUsage(std::ostream& out, const char* argv0) {
  out << "usage: keel COMMAND [ARGUMENT...]\n\n";
  for (const Command& command : kCommands) {
    if (command.run == nullptr && FindProgram(command.name, argv0).empty()) continue;
    out << "  " << std::left << std::setw(kColumn) << command.name << command.summary << "\n";
  }
  out << "\nkeel COMMAND --help explains a command.\n";
}

// Becomes a program of its own.
int Become(const std::string& name, int argc, char** argv, const char* argv0) {
  std::vector<std::string> words = FindProgram(name, argv0);
  if (words.empty()) {
    std::cerr << "keel: keel-" << name << " is not beside this program; bazel run //apps:" << name
              << " builds it\n";
    return kWrongCommand;
  }
  words.insert(words.end(), argv + 1, argv + argc);
  std::vector<char*> pointers;
  for (std::string& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  execv(pointers.front(), pointers.data());
  std::cerr << "keel: " << words.front() << " does not start\n";
  return kWrongCommand;
}

int Main(int argc, char** argv) {
  const std::string name = argc > 1 ? argv[1] : "";
  if (name == "--help" || name == "-h" || name == "help") {
    PrintUsage(std::cout, argv[0]);
    return 0;
  }
  if (name == "--version") {
    std::cout << keel_version() << "\n";
    return 0;
  }
  std::vector<std::string> names;
  for (const Command& command : kCommands) {
    names.emplace_back(command.name);
    if (command.name != name) continue;
    const char* const argv0 = argv[0];
    if (command.run == nullptr) return Become(name, argc - 1, argv + 1, argv0);
    argv[1] = argv[0];  // what belongs to this program is found by it
    return command.run(argc - 1, argv + 1);
  }
  if (name.empty()) {
    PrintUsage(std::cerr, argv[0]);
  } else {
    const std::string near = Nearest(name, names);
    std::cerr << "keel: there is no command '" << name << "'"
              << (near.empty() ? "; keel --help lists them" : "; did you mean " + near + "?")
              << "\n";
  }
  return kWrongCommand;
}

}  // namespace
}  // namespace keel::apps

int main(int argc, char** argv) { return keel::apps::Main(argc, argv); }
