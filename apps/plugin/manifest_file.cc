#include "apps/plugin/manifest_file.h"

#include <filesystem>
#include <fstream>
#include <iterator>

#include "boost/json/parse.hpp"
#include "boost/json/serialize.hpp"

namespace keel::apps {
namespace {

namespace json = boost::json;

// "org.example.foo 1.0": id and version.
json::object NewManifest(const json::object& exported) {
  const std::string plugin(exported.at("plugin").as_string());
  const size_t space = plugin.find(' ');
  return {{"id", plugin.substr(0, space)},
          {"version", space == std::string::npos ? "0" : plugin.substr(space + 1)},
          {"architectures", json::array{exported.at("architecture")}},
          {"artifacts", json::array{}}};
}

Result<json::object> ReadManifest(const std::string& path, const json::object& exported) {
  std::ifstream file(path);
  if (!file) return NewManifest(exported);
  const std::string text((std::istreambuf_iterator<char>(file)), {});
  boost::system::error_code error;
  const json::value value = json::parse(text, error);
  const json::object* manifest = error ? nullptr : value.if_object();
  if (manifest == nullptr)
    return Status(Code::kInvalidArgument, path + ": is no JSON object; mend or remove it");
  return *manifest;
}

bool IsGraph(const json::value& artifact) {
  const json::object* fields = artifact.if_object();
  const json::value* kind = fields != nullptr ? fields->if_contains("kind") : nullptr;
  return kind != nullptr && *kind == "graph";
}

}  // namespace

Result<std::string> AddToManifest(const std::string& graph_file, const json::object& exported) {
  const std::filesystem::path graph = graph_file;
  const std::string path = graph.parent_path() / "keel_plugin.json";
  Result<json::object> manifest = ReadManifest(path, exported);
  if (!manifest.ok()) return manifest.status();
  json::array artifacts;
  artifacts.push_back(json::object{
      {"kind", "graph"}, {"path", graph.filename().string()}, {"sha256", exported.at("sha256")}});
  if (const json::value* old = manifest->if_contains("artifacts"); old && old->is_array()) {
    for (const json::value& artifact : old->get_array()) {
      if (!IsGraph(artifact)) artifacts.push_back(artifact);
    }
  }
  (*manifest)["artifacts"] = std::move(artifacts);
  std::ofstream out(path);
  if (!(out << json::serialize(*manifest) << "\n") || !out.flush())
    return Status(Code::kPermissionDenied, "cannot write " + path);
  return path;
}

}  // namespace keel::apps
