// config.json as a plugin reads it: the host's side of the interface "keel.config/1".
#ifndef KEEL_CORE_CONFIG_CONFIG_VIEW_H_
#define KEEL_CORE_CONFIG_CONFIG_VIEW_H_

#include <boost/json/value.hpp>
#include <deque>
#include <string>

#include "absl/status/status.h"
#include "sdk/abi/plugin.h"

namespace keel {
class ConfigDocument;
}

// The plugin's handle: one JSON object of a document.
struct keel_config {
  keel::ConfigDocument* document;
  const boost::json::object* object;
  std::string path;  // of `object` within the document, "" or "text_config."
};

namespace keel {

// One JSON document under the getters of keel_config_api, with the first error that they met.
// Not thread-safe: one call into a plugin at a time.
class ConfigDocument {
 public:
  // `root` must be an object and outlive the document. `where` begins every error ("config.json").
  ConfigDocument(const boost::json::value& root, std::string where);
  ConfigDocument(const ConfigDocument&) = delete;
  ConfigDocument& operator=(const ConfigDocument&) = delete;

  keel_config* root() { return &views_.front(); }
  // The first thing a getter could not deliver, naming key, what was found and what was expected.
  const absl::Status& status() const { return status_; }

  void Fail(const keel_config& view, absl::string_view key, absl::string_view message);
  keel_config* AddView(const boost::json::object* object, std::string path);

 private:
  std::string where_;
  absl::Status status_;
  std::deque<keel_config> views_;  // stable addresses
};

// The table behind "keel.config/1".
const keel_config_api& ConfigApi();

}  // namespace keel
#endif  // KEEL_CORE_CONFIG_CONFIG_VIEW_H_
