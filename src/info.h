// The text of SLUICE INFO: each worker tells its counters in turn, as "name:value" lines.
#pragma once

#include <cstdint>
#include <string>

#include "src/redirection.h"
#include "src/round.h"
#include "src/session.h"
#include "src/worker.h"

namespace sluice {

/// What one worker tells; references into it, for the time of the call.
struct WorkerReport {
  unsigned index;
  std::size_t clients;
  std::uint64_t refused;  ///< clients beyond max_clients; all are the first worker's
  const WorkerCounters& counters;
  const uring::RingCounters& ring;
  const uring::StreamRoom& client_room;
  const uring::StreamRoom& backend_room;
  const pool::Pool& pool;
  const RedirectCounters& redirects;
  std::size_t parked;
  std::size_t pending;
  std::uint64_t topology_rounds;
  std::uint64_t topology_changes;
  const cluster::Topology& topology;
  const KeyWatchCounters& keys;
};

[[nodiscard]] std::string describe_worker(const WorkerReport& report);

/// One SLUICE INFO.
class InfoRound final : public Round {
 public:
  explicit InfoRound(Session& session);

 private:
  void visit(Worker& worker) override;
  [[nodiscard]] std::string reply() override;

  std::string text_;
};

}  // namespace sluice
