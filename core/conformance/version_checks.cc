#include "core/conformance/version_checks.h"

#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <string>

#include "absl/strings/str_cat.h"
#include "core/conformance/host_tables.h"
#include "core/conformance/subject.h"
#include "core/plugin/interfaces.h"

namespace keel::conformance {
namespace {

// What recording each config of the subject gives on a host, one text.
std::string Recorded(const Subject& subject, const HostInterfaces& interfaces,
                     const OtherHost* other) {
  std::string bytes;
  ForEachModel(subject, interfaces, [&](ModelUnderTest& model) {
    if (other != nullptr) other->Serve(model.source);
    Trying(absl::StrCat(model.where, other == nullptr ? "" : " on a host whose tables are longer"));
    const Stages stages = Record(model);
    absl::StrAppend(&bytes, stages.status().ToString(), FunctionBytes(stages.model.graph));
    return Pass();
  });
  return bytes;
}

// Ends the process as a call beyond a table's end does, where the address 0 was called.
void OnNullCall(int signal, siginfo_t* info, void*) {
  if (info->si_addr != nullptr) {
    ::signal(signal, SIG_DFL);
    return;  // happens again
  }
  constexpr char kMessage[] = "called an entry that is NULL\n";
  if (write(STDOUT_FILENO, kMessage, sizeof(kMessage) - 1) < 0) _exit(1);
  _exit(kPoisonExit);
}

}  // namespace

// A call beyond a table's end does not come back: the process ends there (kPoisonExit).
Finding CheckOldestHost(const Subject& subject) {
  const OtherHost host(OtherHost::Age::kOldest);
  if (subject.configs.empty()) {
    const auto plugin = LoadPlugin(subject, host.interfaces());
    return plugin.ok() ? Pass() : Skip(std::string(plugin.status().message()));
  }
  return ForEachModel(subject, host.interfaces(), [&](ModelUnderTest& model) {
    host.Serve(model.source);
    Trying(absl::StrCat(model.where, " on the oldest host of this major"));
    Record(model);  // it may refuse: an older host can do less
    return Pass();
  });
}

Finding CheckNullEntries(const Subject& subject) {
  struct sigaction on_null = {}, before = {};
  on_null.sa_sigaction = OnNullCall;
  on_null.sa_flags = SA_SIGINFO;
  sigaction(SIGSEGV, &on_null, &before);
  Finding finding;
  for (size_t entry = 0; entry < OtherHost::NumOptionalEntries(); ++entry) {
    const OtherHost host = OtherHost::Without(entry);
    finding = ForEachModel(subject, host.interfaces(), [&](ModelUnderTest& model) {
      host.Serve(model.source);
      Trying(absl::StrCat(model.where, " on a host where entry ", entry,
                          " of those since 0.2 is NULL"));
      Record(model);  // it may refuse
      return Pass();
    });
    if (finding.outcome != Outcome::kPass) break;
  }
  sigaction(SIGSEGV, &before, nullptr);
  return finding;
}

Finding CheckFutureHost(const Subject& subject) {
  const OtherHost host(OtherHost::Age::kFuture);
  const auto plugin = LoadPlugin(subject, host.interfaces());
  if (!plugin.ok()) {
    if (!LoadPlugin(subject, Interfaces()).ok()) return Skip("does not load on this host either");
    return Fail(absl::StrCat("does not load on a host whose tables are longer: ",
                             plugin.status().message(), "; test with KEEL_HAS, not for sizes"));
  }
  const std::string here = Recorded(subject, Interfaces(), nullptr);
  if (here != Recorded(subject, Interfaces(), nullptr)) {
    return Skip("records otherwise each time, on this host too");
  }
  if (here == Recorded(subject, host.interfaces(), &host)) return Pass();
  return Fail(
      "records otherwise on a host whose tables are longer; test with KEEL_HAS, not for sizes");
}

}  // namespace keel::conformance
