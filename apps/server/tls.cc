#include "apps/server/tls.h"

namespace keel::apps {

namespace ssl = boost::asio::ssl;

Result<std::shared_ptr<ssl::context>> LoadTls(const std::string& certificate_file,
                                              const std::string& key_file) {
  auto context = std::make_shared<ssl::context>(ssl::context::tls_server);
  boost::system::error_code error;
  context->set_options(ssl::context::default_workarounds | ssl::context::no_tlsv1 |
                           ssl::context::no_tlsv1_1 | ssl::context::single_dh_use,
                       error);
  if (!error) context->use_certificate_chain_file(certificate_file, error);
  if (error) {
    return Status(Code::kInvalidArgument, "--ssl-certfile " + certificate_file +
                                              ": no certificate in PEM format: " + error.message());
  }
  const std::string& key = key_file.empty() ? certificate_file : key_file;
  context->use_private_key_file(key, ssl::context::pem, error);
  if (error) {
    return Status(Code::kInvalidArgument, "--ssl-keyfile " + key + ": no private key of " +
                                              certificate_file +
                                              " in PEM format: " + error.message());
  }
  return context;
}

}  // namespace keel::apps
