// GET / and GET /page/NAME: a page to talk to the models, for browsers; to others / lists what there is.
#include <array>
#include <string>
#include <string_view>
#include <utility>

#include "apps/server/endpoints.h"
#include "apps/server/page/page_files.h"

namespace keel::apps {
namespace {

constexpr char kIndex[] = "index.html";

// The page talks to this server alone and runs only scripts of its own; what a model writes cannot
// become markup or script, not even by mistake.
constexpr char kPolicy[] =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'";

std::string ContentType(std::string_view name) {
  constexpr std::array<std::pair<std::string_view, const char*>, 4> kTypes = {{
      {".css", "text/css; charset=utf-8"},
      {".html", "text/html; charset=utf-8"},
      {".js", "text/javascript; charset=utf-8"},
      {".svg", "image/svg+xml"},
  }};
  for (const auto& [ending, type] : kTypes) {
    if (name.ends_with(ending)) return type;
  }
  return "application/octet-stream";
}

void GetFile(std::string_view name, Exchange& exchange) {
  for (const PageFile& file : PageFiles()) {
    if (file.name != name) continue;
    // Asked for each time, sent once: a newer server is never met by an older page.
    HttpResponse response = {.status = 200,
                             .content_type = ContentType(name),
                             .headers = {{"ETag", std::string(file.etag)},
                                         {"Cache-Control", "no-cache"},
                                         {"Vary", "Accept"},
                                         {"Content-Security-Policy", kPolicy},
                                         {"Referrer-Policy", "no-referrer"},
                                         {"X-Content-Type-Options", "nosniff"}}};
    if (exchange.request().if_none_match.find(file.etag) != std::string::npos) {
      response.status = 304;
    } else {
      response.body = file.content;
    }
    return exchange.Respond(std::move(response));
  }
  RespondError(exchange, {.code = ErrorCode::kNotFound,
                          .message = "the page has no file " + std::string(name)});
}

void GetIndex(const EndpointContext& context, Exchange& exchange) {
  if (exchange.request().accept.find("text/html") != std::string::npos) {
    return GetFile(kIndex, exchange);
  }
  std::string text = "Keel " + std::string(keel_version()) +
                     " serves language models. Endpoints, described in docs/server.md:\n\n";
  for (const std::string& route : context.router.List()) text += route + "\n";
  exchange.Respond({.status = 200,
                    .body = std::move(text),
                    .content_type = "text/plain",
                    .headers = {{"Vary", "Accept"}}});
}

}  // namespace

void AddPageEndpoints(const EndpointContext& context) {
  Router::RouteOptions options = {.access = Router::Access::kPublic,
                                  .lane = Router::Lane::kMonitoring};
  context.router.Add(
      "GET", "/", [&context](auto exchange) { GetIndex(context, *exchange); }, options);
  options.is_polled = true;  // by every browser, with the line of / before it
  context.router.Add(
      "GET", "/page/*",
      [](auto exchange) {
        GetFile(exchange->request().path.substr(sizeof("/page/") - 1), *exchange);
      },
      options);
}

}  // namespace keel::apps
