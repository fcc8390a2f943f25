// keel-chat: talks with a model on the terminal, without a server.
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "apps/chat/chat.h"
#include "apps/chat/chat_session.h"
#include "apps/chat/line_source.h"
#include "apps/common/command_line.h"
#include "apps/common/load.h"
#include "apps/common/paths.h"
#include "apps/common/programs.h"

namespace keel::apps {
namespace {

void AddFlags(CLI::App& app, ChatOptions* options) {
  constexpr char kGroup[] = "Chat";
  app.add_option("--system", options->system, "Tells the model how to behave.")
      ->type_name("TEXT")
      ->group(kGroup);
  app.add_option("--max-tokens", options->max_tokens,
                 "Longest answer, in tokens. Default: what the context has left.")
      ->type_name("N")
      ->group(kGroup);
  const auto add = [&](const char* name, auto* value, const char* value_name, const char* help) {
    app.add_option(name, *value, help)
        ->type_name(value_name)
        ->group("Sampling")
        ->default_str("the model's own");
  };
  add("--temperature", &options->temperature, "T", "How far answers stray; 0: not at all.");
  add("--top-p", &options->top_p, "P", "Only the likeliest tokens that have this share together.");
  add("--top-k", &options->top_k, "K", "Only the K likeliest tokens.");
  add("--repetition-penalty", &options->repetition_penalty, "X",
      "More than 1: tokens that have been become less likely.");
  app.add_option("--seed", options->seed, "The same answers each time.")
      ->type_name("N")
      ->group("Sampling");
  app.footer(
      "In the chat, /help lists the commands. When standard input is no terminal, each line of\n"
      "it is a turn, and the answers alone are written to standard output. Exit codes: 0 all\n"
      "turns were answered, 1 one was not or there is no model, 2 wrong flags.");
}

int Fail(const Status& status) {
  std::cerr << "keel-chat: " << status.message() << "\n";
  return 1;
}

// Set by Ctrl-C while an answer comes.
std::atomic<bool> stop_answer = false;
static_assert(std::atomic<bool>::is_always_lock_free);

}  // namespace

int ChatMain(int argc, char** argv) {
  const std::string demo_model = FindDemoModel(argv[0]);
  EnterUsersDirectory();
  ChatOptions options;
  CommandLine command_line("keel-chat",
                           "Talks with a model on the terminal. Without --model: the demo model.");
  AddFlags(command_line.app(), &options);
  command_line.AddEngineFlags(/*takes_model_as_word=*/true);
  if (const std::optional<int> code = command_line.Parse(argc, argv)) return *code;

  auto loaded = LoadModel(command_line, demo_model, {});
  if (!loaded.ok()) return Fail(loaded.status());
  if (!loaded->has_chat_template) {
    return Fail(Status(Code::kFailedPrecondition,
                       loaded->root +
                           " has no chat template (chat_template.jinja, or chat_template in "
                           "tokenizer_config.json), so it cannot chat; it completes texts: "
                           "/v1/completions of keel-server and keel-batch"));
  }

  ChatSession session(loaded->engine, std::move(options), stop_answer);
  const bool is_terminal = isatty(STDIN_FILENO) != 0 && isatty(STDOUT_FILENO) != 0;
  std::unique_ptr<LineSource> lines = is_terminal ? NewLineEditor() : nullptr;
  if (lines != nullptr) {
    std::signal(SIGINT, [](int) { stop_answer = true; });
    std::cerr << "/help lists the commands, Ctrl-D ends\n";
  } else {
    lines = std::make_unique<PlainLines>(std::cin);
  }
  return RunChat(session, *lines, std::cout, std::cerr, is_terminal, stop_answer) || is_terminal
             ? 0
             : 1;
}

}  // namespace keel::apps
