// keel-jail plugin|graph MEMORY_BYTES CPU_SECONDS NAME, with a channel to the host as descriptor 3
// and the sealed bytes of the plugin or the graph file as 4. Started by keel::JailedPlugin.
#include <unistd.h>

#include <cstdio>
#include <string_view>
#include <utility>

#include "absl/strings/numbers.h"
#include "core/remote/graph_reader.h"
#include "core/remote/jail_service.h"

int main(int argc, char** argv) {
  keel::JailLimits limits;
  const std::string_view kind = argc == 5 ? argv[1] : "";
  if ((kind != "plugin" && kind != "graph") || !absl::SimpleAtoi(argv[2], &limits.memory_bytes) ||
      !absl::SimpleAtoi(argv[3], &limits.cpu_seconds)) {
    std::fputs(
        "keel-jail is started by Keel, for a plugin or a graph file that it does not trust\n",
        stderr);
    return 2;
  }
  keel::FileDescriptor file(4);
  if (kind == "graph") _exit(keel::RunGraphReader(/*channel=*/3, file, limits));
  // Not exit: destructors of the plugin's may be registered.
  _exit(keel::RunJail(/*channel=*/3, std::move(file), argv[4], limits));
}
