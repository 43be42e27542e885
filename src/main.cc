// sluice: reads its configuration, starts, waits for a signal, stops.
// Exit codes: 0 all well, 1 the configuration is no good, 2 io_uring is missing or blocked, 3 an address cannot be
// listened on.

#include <signal.h>
#include <spdlog/spdlog.h>
#include <sys/resource.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "src/config.h"
#include "src/log.h"
#include "src/server.h"
#include "uring/features.h"

namespace {

constexpr int kBadConfig = 1;
constexpr int kNoRing = 2;
constexpr int kNoListener = 3;

int complain(const std::vector<std::string>& lines, int code) {
  for (const std::string& line : lines) std::fprintf(stderr, "sluice: %s\n", line.c_str());
  return code;
}

/// Raises RLIMIT_NOFILE to the hard limit. Returns how many clients there is room for: connections to nodes and pipes
/// want descriptors too.
unsigned make_room_for(unsigned max_clients) {
  constexpr rlim_t kForTheRest = 1024;
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  if (limit.rlim_cur >= max_clients + kForTheRest) return max_clients;
  const rlim_t room = std::max(limit.rlim_cur / 2, limit.rlim_cur - std::min(limit.rlim_cur, kForTheRest));
  const auto clients = static_cast<unsigned>(std::min<rlim_t>(room, max_clients));
  spdlog::warn(
      "RLIMIT_NOFILE allows {} descriptors: max_clients is {} instead of {}; raise it (LimitNOFILE=, ulimit -n)",
      limit.rlim_cur, clients, max_clients);
  return clients;
}

int serve(sluice::Config config) {
  const uring::Probe probe = uring::probe_features();
  if (const auto problems = uring::explain_missing(probe); !problems.empty()) return complain(problems, kNoRing);
  sluice::set_up_log(config.log);
  config.max_clients = make_room_for(config.max_clients);

  // Blocked in every thread, awaited here.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGHUP);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  signal(SIGPIPE, SIG_IGN);

  std::string addresses;
  for (const sluice::Listener& each : config.listen) addresses += " " + each.address.text();
  sluice::Server server(std::move(config), probe.features);
  if (const auto problem = server.start()) {
    return complain({problem->message}, problem->is_listener ? kNoListener : kNoRing);
  }
  spdlog::info("sluice {} listens on{}", SLUICE_VERSION, addresses);
  int signal_number = 0;
  while (sigwait(&signals, &signal_number) == 0 && signal_number == SIGHUP) {
    spdlog::warn("SIGHUP: reloading is not built into this version yet, the configuration stays as it is");
  }
  spdlog::info("stopping");
  server.stop();
  spdlog::info("stopped");
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  sluice::CommandLine command_line =
      sluice::read_command_line(std::span(const_cast<const char* const*>(argv), static_cast<std::size_t>(argc)));
  if (!command_line.loaded.ok()) return complain(command_line.loaded.errors, kBadConfig);
  switch (command_line.action) {
    case sluice::Action::kServe:
      return serve(std::move(command_line.loaded.config));
    case sluice::Action::kCheckConfig:
      std::puts("the configuration is good");
      return 0;
    case sluice::Action::kKernelFeatures: {
      const uring::Probe probe = uring::probe_features();
      if (probe.error == 0) std::fputs(uring::describe(probe.features).c_str(), stdout);
      return complain(uring::explain_missing(probe), uring::explain_missing(probe).empty() ? 0 : kNoRing);
    }
    case sluice::Action::kShowVersion:
      std::puts("sluice " SLUICE_VERSION);
      return 0;
    case sluice::Action::kShowHelp:
      std::fputs(sluice::usage().c_str(), stdout);
      return 0;
  }
  return kBadConfig;
}
