#include "apps/plugin/commands.h"

#include <fstream>
#include <iostream>
#include <iterator>
#include <optional>
#include <string>
#include <utility>

#include "apps/common/command_line.h"
#include "apps/plugin/manifest_file.h"
#include "boost/json/object.hpp"
#include "boost/json/parse.hpp"
#include "boost/json/serialize.hpp"
#include "sdk/keel/plugin_files.h"

namespace keel::apps {
namespace {

namespace json = boost::json;

constexpr char kPathHelp[] =
    "A plugin's library, a graph file, or the directory of a checkpoint that brings one.";

int Fail(const Status& status) {
  std::cerr << "keel-plugin: " << status.message() << "\n";
  return 1;
}

// What all commands have: a path, and --json.
class Command {
 public:
  Command(const std::string& name, const std::string& description)
      : line_("keel-plugin " + name, description) {
    app().add_option("PATH", path_, kPathHelp)->type_name("")->required();
    app().add_flag("--json", as_json_, "Print the answer as a JSON object.");
  }

  CLI::App& app() { return line_.app(); }
  CommandLine& line() { return line_; }
  const std::string& path() const { return path_; }
  bool as_json() const { return as_json_; }

  std::optional<int> Parse(int argc, const char* const* argv) { return line_.Parse(argc, argv); }

  // The answer as an object; printed here if --json asks for it.
  Result<json::object> Answer(const Result<std::string>& text) const {
    if (!text.ok()) return text.status();
    if (as_json_) std::cout << *text << "\n";
    return json::parse(*text).as_object();
  }

 private:
  CommandLine line_;
  std::string path_;
  bool as_json_ = false;
};

std::string Text(const json::value& value) {
  if (const json::string* text = value.if_string()) return std::string(*text);
  if (value.is_null()) return "none";
  if (const json::array* list = value.if_array()) {
    std::string joined;
    for (const json::value& item : *list) joined += (joined.empty() ? "" : ", ") + Text(item);
    return joined.empty() ? "none" : joined;
  }
  return json::serialize(value);
}

// "name: value" lines; `without` has a line of its own or none.
void PrintFields(const json::object& fields, std::string_view without = "") {
  for (const auto& [key, value] : fields) {
    if (key == without) continue;
    if (const json::object* inner = value.if_object()) {
      for (const auto& [name, part] : *inner)
        std::cout << key << "." << name << ": " << Text(part) << "\n";
    } else {
      std::cout << key << ": " << Text(value) << "\n";
    }
  }
}

int Inspect(int argc, const char* const* argv) {
  Command command("inspect", "Says what a plugin's file says of itself. None of its code runs.");
  bool with_text = false;
  command.app().add_flag("--text", with_text, "Of a graph, print it whole, as textproto.");
  if (const auto code = command.Parse(argc, argv)) return *code;
  const auto answer = command.Answer(InspectPlugin(command.path()));
  if (!answer.ok()) return Fail(answer.status());
  if (command.as_json()) return 0;
  if (with_text && answer->contains("text")) {
    std::cout << Text(answer->at("text"));
  } else {
    PrintFields(*answer, "text");
  }
  return 0;
}

int Pin(int argc, const char* const* argv) {
  Command command("pin",
                  "Lets this very file of a plugin run in a server's process, with "
                  "--trust-remote-code=full: adds its sha256 to a trust file.");
  std::string trust_file, comment;
  command.app()
      .add_option("--trust-file", trust_file, "Where the pin goes.")
      ->type_name("FILE")
      ->default_str("~/.config/keel/trust");
  command.app()
      .add_option("--comment", comment, "Who looked at it, and when.")
      ->type_name("TEXT")
      ->default_str("its id and version");
  if (const auto code = command.Parse(argc, argv)) return *code;
  const auto answer = command.Answer(PinPlugin(command.path(), trust_file, comment));
  if (!answer.ok()) return Fail(answer.status());
  if (!command.as_json()) {
    std::cout << "pinned " << Text(answer->at("sha256")) << " in " << Text(answer->at("trust_file"))
              << "\n";
  }
  return 0;
}

int Sign(int argc, const char* const* argv) {
  Command command("sign",
                  "Signs a plugin's library as minisign does: writes <library>.minisig. `minisign "
                  "-G` makes a key; who has it in a trust file runs what it signed.");
  std::string key_file, password_file;
  command.app()
      .add_option("--key", key_file, "Minisign's secret key.")
      ->type_name("FILE")
      ->required();
  command.app()
      .add_option("--password-file", password_file,
                  "Its password: the first line of this file; - reads standard input. Default: the "
                  "key has none.")
      ->type_name("FILE");
  if (const auto code = command.Parse(argc, argv)) return *code;
  std::string password;
  if (password_file == "-") {
    std::getline(std::cin, password);
  } else if (!password_file.empty()) {
    std::ifstream file(password_file);
    if (!std::getline(file, password))
      return Fail(Status(Code::kNotFound, "--password-file: cannot read " + password_file));
  }
  const auto answer = command.Answer(SignPlugin(command.path(), key_file, password));
  if (!answer.ok()) return Fail(answer.status());
  if (!command.as_json()) {
    std::cout << "signed as '" << Text(answer->at("signed_as")) << "' by key "
              << Text(answer->at("key")) << ": " << Text(answer->at("signature")) << "\n";
  }
  return 0;
}

int Verify(int argc, const char* const* argv) {
  Command command("verify",
                  "Says whether --trust-remote-code=full would run a plugin here: whether a trust "
                  "file pins it, or has the key that signed it.");
  std::string trust_file;
  command.app()
      .add_option("--trust-file", trust_file, "The pins and keys.")
      ->type_name("FILE")
      ->default_str("/etc/keel/trust and ~/.config/keel/trust");
  if (const auto code = command.Parse(argc, argv)) return *code;
  const auto answer = command.Answer(VerifyPlugin(command.path(), trust_file));
  if (!answer.ok()) return Fail(answer.status());
  const bool verified = answer->at("verified").as_bool();
  if (!command.as_json()) {
    std::cout << (verified ? "verified: sha256 " + Text(answer->at("sha256"))
                           : "not verified: " + Text(answer->at("reason")))
              << "\n";
  }
  return verified ? 0 : 1;
}

int Export(int argc, const char* const* argv) {
  Command command("export-graph",
                  "Records a checkpoint's model once and writes its graph, with which it is served "
                  "as data from then on: no plugin, no --trust-remote-code. The plugin runs in a "
                  "jail unless --trust-remote-code=full says otherwise.");
  std::string file;
  bool no_manifest = false;
  command.app()
      .add_option("--output", file, "The graph file.")
      ->type_name("FILE")
      ->default_str("keel.graph in the checkpoint");
  command.app().add_flag("--no-manifest", no_manifest,
                         "Leave keel_plugin.json beside the graph as it is.");
  command.line().AddEngineFlags();
  if (const auto code = command.Parse(argc, argv)) return *code;
  Result<Options> options = command.line().EngineOptions(command.path());
  if (!options.ok()) return Fail(options.status());
  if (!command.line().EngineValue("trust-remote-code")) {
    if (Status status = options->Set("trust-remote-code", "true"); !status.ok())
      return Fail(status);
  }
  if (file.empty()) file = command.path() + "/keel.graph";
  const auto answer = command.Answer(ExportGraph(*options, file));
  if (!answer.ok()) return Fail(answer.status());
  if (!command.as_json())
    std::cout << "recorded " << Text(answer->at("plugin")) << " into " << file << "\n";
  if (no_manifest) return 0;
  const Result<std::string> manifest = AddToManifest(file, *answer);
  if (!manifest.ok()) return Fail(manifest.status());
  if (!command.as_json()) std::cout << "named it in " << *manifest << "\n";
  return 0;
}

constexpr PluginCommand kCommands[] = {
    {"inspect", "what a plugin's file says of itself", Inspect},
    {"pin", "let this very file run in the process", Pin},
    {"sign", "sign a library with a minisign key", Sign},
    {"verify", "whether a file is pinned or signed by a trusted key", Verify},
    {"export-graph", "record a model once and serve it as data", Export},
};

}  // namespace

std::span<const PluginCommand> PluginCommands() { return kCommands; }

}  // namespace keel::apps
