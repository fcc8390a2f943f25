#include "apps/server/http.h"

#include <utility>

namespace keel::apps {

void RespondError(Exchange& exchange, const CallError& error, std::string allow) {
  ErrorBody body = exchange.error_form()(error);
  exchange.Respond({.status = body.http_status,
                    .body = std::move(body.json),
                    .allow = std::move(allow),
                    .retry_after_seconds = MayTryAgain(error.code) ? 1 : 0});
}

}  // namespace keel::apps
