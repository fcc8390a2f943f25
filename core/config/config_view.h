// config.json as a plugin reads it: the host's side of the interface "keel.config/1".
#ifndef KEEL_CORE_CONFIG_CONFIG_VIEW_H_
#define KEEL_CORE_CONFIG_CONFIG_VIEW_H_

#include <boost/json/value.hpp>
#include <deque>
#include <set>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
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

// One JSON document under the getters of keel_config_api, with the first error that they met. The
// getters may be called from any thread, as the ABI promises.
class ConfigDocument {
 public:
  // `root` must be an object and outlive the document. `where` begins every error ("config.json").
  ConfigDocument(const boost::json::value& root, std::string where);
  ConfigDocument(const ConfigDocument&) = delete;
  ConfigDocument& operator=(const ConfigDocument&) = delete;

  keel_config* root() const { return root_; }
  // The first thing a getter could not deliver, naming key, what was found and what was expected.
  // For the host, when the plugin's call has returned.
  const absl::Status& status() const ABSL_NO_THREAD_SAFETY_ANALYSIS { return status_; }
  absl::StatusCode code() const;

  void Fail(const keel_config& view, absl::string_view key, absl::string_view message);
  // The keys that getters were asked for, found or not: "hidden_size", "text_config.vocab_size". Of a
  // path into an object its first part. For the host, when the plugin's call has returned.
  const std::set<std::string>& asked() const ABSL_NO_THREAD_SAFETY_ANALYSIS { return asked_; }
  void Asked(const keel_config& view, absl::string_view path);

  keel_config* AddView(const boost::json::object* object, std::string path);

 private:
  const std::string where_;
  mutable absl::Mutex mutex_;
  absl::Status status_ ABSL_GUARDED_BY(mutex_);
  std::set<std::string> asked_ ABSL_GUARDED_BY(mutex_);
  std::deque<keel_config> views_ ABSL_GUARDED_BY(mutex_);  // stable addresses
  keel_config* const root_;
};

// The table behind "keel.config/1".
const keel_config_api& ConfigApi();

}  // namespace keel
#endif  // KEEL_CORE_CONFIG_CONFIG_VIEW_H_
