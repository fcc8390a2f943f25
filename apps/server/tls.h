// The certificate that a server shows.
#ifndef KEEL_APPS_SERVER_TLS_H_
#define KEEL_APPS_SERVER_TLS_H_

#include <memory>
#include <string>

#include "boost/asio/ssl/context.hpp"
#include "sdk/keel/engine.h"

namespace keel::apps {

// Reads a chain of certificates and its private key, both PEM; the key is in the chain's file if
// `key_file` is empty. TLS 1.2 and 1.3.
Result<std::shared_ptr<boost::asio::ssl::context>> LoadTls(const std::string& certificate_file,
                                                           const std::string& key_file);

}  // namespace keel::apps

#endif  // KEEL_APPS_SERVER_TLS_H_
