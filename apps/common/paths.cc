#include "apps/common/paths.h"

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <system_error>

#include "tools/cpp/runfiles/runfiles.h"

namespace keel::apps {

using bazel::tools::cpp::runfiles::Runfiles;

std::string FindDemoModel(const char* argv0) {
  constexpr char kConfig[] = "keel/apps/demo/model/config.json";
  std::string error;
  const std::unique_ptr<Runfiles> runfiles(Runfiles::Create(argv0, &error));
  if (runfiles == nullptr) return "";
  std::error_code ignored;
  const std::filesystem::path config =
      std::filesystem::absolute(runfiles->Rlocation(kConfig), ignored);
  return std::filesystem::exists(config, ignored) ? config.parent_path().string() : "";
}

void EnterUsersDirectory() {
  const char* directory = std::getenv("BUILD_WORKING_DIRECTORY");
  if (directory == nullptr) return;
  std::error_code ignored;
  std::filesystem::current_path(directory, ignored);
}

}  // namespace keel::apps
