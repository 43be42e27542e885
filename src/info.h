// The text of SLUICE INFO: each worker tells its counters in turn, as "name:value" lines.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "src/redirection.h"
#include "src/session.h"
#include "src/worker.h"

namespace sluice {

/// What one worker tells; references into it, for the time of the call.
struct WorkerReport {
  unsigned index;
  std::size_t clients;
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
};

[[nodiscard]] std::string describe_worker(const WorkerReport& report);

/// One SLUICE INFO on its way from worker to worker, and back to the client's. Survives its client.
class InfoRound final : public uring::Letter {
 public:
  static void start(Session& session, const std::vector<Worker*>& workers);

 private:
  InfoRound(pool::PendingReply& whole, Worker& origin, resp::Protocol protocol, const std::vector<Worker*>& workers);

  void visit(Worker& from);
  void on_delivered() override;
  void finish();

  pool::PendingReply& whole_;
  Worker& origin_;
  resp::Protocol protocol_;
  const std::vector<Worker*>& workers_;
  std::size_t visited_ = 0;
  std::string text_;
};

}  // namespace sluice
