#include "src/info.h"

#include <cstdio>
#include <string_view>

#include "resp/writer.h"

namespace sluice {
namespace {

void line(std::string& text, std::string_view name, std::uint64_t value) {
  text.append(name).append(":").append(std::to_string(value)).append("\r\n");
}

std::string ratio(std::uint64_t part, std::uint64_t whole) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.2f", whole == 0 ? 0.0 : static_cast<double>(part) / static_cast<double>(whole));
  return text;
}

void describe_streams(std::string& text, const std::string& side, const uring::StreamRoom& room) {
  line(text, side + "_receives", room.receives);
  line(text, side + "_bytes_received", room.bytes_received);
  line(text, side + "_sends", room.sends);
  line(text, side + "_bytes_sent", room.bytes_sent);
  line(text, side + "_buffers", room.buffers.count());
  line(text, side + "_buffers_in_use", room.buffers.held());
  line(text, side + "_buffer_shortages", room.starvations);
  line(text, side + "_chunk_bytes_in_use", room.chunks.bytes_in_use());
}

void describe_redirects(std::string& text, const RedirectCounters& redirects, std::size_t parked) {
  line(text, "redirects_moved", redirects.moved);
  line(text, "redirects_ask", redirects.ask);
  line(text, "redirects_tryagain", redirects.try_again);
  line(text, "redirects_clusterdown", redirects.cluster_down);
  line(text, "redirects_loading", redirects.loading);
  line(text, "redirects_readonly", redirects.read_only);
  line(text, "requests_parked_total", redirects.parked);
  line(text, "requests_parked", parked);
  line(text, "requests_expired", redirects.expired);
}

void describe_pool(std::string& text, const pool::Pool& pool) {
  const pool::PoolCounters& counters = pool.counters();
  line(text, "backend_requests", counters.requests);
  line(text, "backend_replies", counters.replies);
  line(text, "backend_connects", counters.connects);
  line(text, "backend_connect_failures", counters.connect_failures);
  line(text, "backend_connections_lost", counters.lost_connections);
  line(text, "backend_requests_lost", counters.lost_requests);
  line(text, "large_replies", counters.large_replies);
  line(text, "large_requests", counters.large_requests);
  line(text, "relayed_bytes", pool.relayed_bytes());
  for (const auto& [name, node] : pool.nodes()) {
    const std::string_view state = node->failing() ? "failing" : node->ready_lanes() > 0 ? "connected" : "idle";
    text.append("node:").append(name);
    text.append(",state=").append(state);
    text.append(",role=").append(node->is_replica() ? "replica" : "primary");
    text.append(",connections=").append(std::to_string(node->ready_lanes()));
    text.append(",pending=").append(std::to_string(node->pending()));
    text.append(",connects=").append(std::to_string(node->connects()));
    text.append(",failures=").append(std::to_string(node->failures()));
    text.append(",version=").append(node->server_version());
    text.append(",zone=").append(node->zone()).append("\r\n");
  }
}

}  // namespace

std::string describe_worker(const WorkerReport& report) {
  std::string text = "# Worker " + std::to_string(report.index) + "\r\n";
  line(text, "clients", report.clients);
  line(text, "clients_accepted", report.counters.clients_accepted);
  line(text, "clients_handed_over", report.counters.clients_handed_over);
  line(text, "clients_refused", report.refused);
  line(text, "clients_too_slow", report.counters.clients_too_slow);
  line(text, "clients_timed_out", report.counters.clients_timed_out);
  line(text, "protocol_errors", report.counters.protocol_errors);
  line(text, "commands", report.counters.commands);
  line(text, "turns", report.ring.turns);
  line(text, "yields", report.ring.yields);
  line(text, "submissions", report.ring.submissions);
  line(text, "completions", report.ring.completions);
  const std::uint64_t sends = report.client_room.sends + report.backend_room.sends;
  text.append("commands_per_send:").append(ratio(report.counters.commands, sends)).append("\r\n");
  text.append("commands_per_turn:").append(ratio(report.counters.commands, report.ring.turns)).append("\r\n");
  line(text, "requests_in_flight", report.pending);
  describe_streams(text, "client", report.client_room);
  describe_streams(text, "backend", report.backend_room);
  describe_redirects(text, report.redirects, report.parked);
  line(text, "topology_refreshes", report.topology_rounds);
  line(text, "topology_changes", report.topology_changes);
  line(text, "shards", report.topology.shards.size());
  line(text, "slots_covered", report.topology.slots_covered());
  line(text, "requests_sampled", report.keys.sampled);
  line(text, "big_requests", report.keys.big_requests);
  line(text, "big_replies", report.keys.big_replies);
  describe_pool(text, report.pool);
  return text;
}

InfoRound::InfoRound(Session& session) : Round(session) {
  text_ = "# Sluice\r\nversion:" SLUICE_VERSION "\r\nworkers:" + std::to_string(workers()) + "\r\n";
}

void InfoRound::visit(Worker& worker) {
  if (worker.index() == 0) line(text_, "workers_in_use", worker.workers_in_use());
  text_ += worker.describe();
}

std::string InfoRound::reply() {
  std::string reply;
  resp::Writer(reply, protocol()).verbatim(text_);
  return reply;
}

}  // namespace sluice
