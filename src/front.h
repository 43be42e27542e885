// Where clients come in: the listening sockets, and the choice of a worker for each client, when it comes and later. It
// lives in the first worker's thread and ring; the others are reached by letters.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "src/balance.h"
#include "src/config.h"
#include "uring/listener.h"

namespace sluice {

class Worker;

class Front final : public uring::AcceptHandler {
 public:
  explicit Front(const Config& config) : config_(config) {}

  /// All workers, in the order of their index; before any of them runs.
  void set_workers(std::vector<Worker*> workers);
  [[nodiscard]] const std::vector<Worker*>& workers() const { return workers_; }

  // --- In the first worker's thread ---
  /// Binds all addresses. On failure: which one, and why.
  [[nodiscard]] std::optional<std::string> listen(uring::Ring& ring);
  void start();
  void stop();
  [[nodiscard]] bool in_flight() const;
  [[nodiscard]] std::size_t clients() const { return clients_; }
  /// Clients beyond max_clients, since start.
  [[nodiscard]] std::uint64_t refused() const { return refused_; }
  /// See Balance::in_use().
  [[nodiscard]] std::size_t workers_in_use() const { return balance_.in_use(); }

  // --- In any worker's thread ---
  /// One of that worker's clients is gone.
  void client_gone(Worker& worker);
  /// It has come to `worker` from another.
  void client_moved(unsigned from, Worker& worker);
  /// What part of a core that worker has used since it last said so: once per tick, if there are several.
  void note_use(Worker& worker, double used);

 private:
  void on_accepted(int fd) override;
  void warn_of_refusal();
  void balance();

  const Config& config_;
  std::vector<Worker*> workers_;
  std::vector<std::size_t> load_;  ///< clients per worker
  std::vector<double> used_;       ///< see note_use()
  std::vector<bool> gives_;        ///< to whom was said that it hands over clients
  Balance balance_{1};
  std::size_t clients_ = 0;
  std::uint64_t refused_ = 0;
  std::uint32_t warned_ms_ = 0;  ///< when the log last told of it
  std::vector<std::unique_ptr<uring::Listener>> listeners_;
};

}  // namespace sluice
