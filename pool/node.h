// One Redis or Valkey server as the pool sees it: an address, lanes to it, and its health.
// Thread: one worker.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "pool/lane.h"

namespace pool {

class Node {
 public:
  Node(Pool& pool, std::string host, std::uint16_t port);

  /// The lane for this kind of connection; `salt` chooses among several, the same one for the same salt.
  [[nodiscard]] Lane& lane(const LaneKey& key, std::uint32_t salt) {
    const bool plain = !key.read_only && key.database == 0;
    Group* group = plain ? &plain_[key.protocol == resp::Protocol::kResp3 ? 1 : 0] : &special(key);
    if (group->lanes.empty()) fill(*group, key);
    const std::size_t count = group->lanes.size();
    return *group->lanes[count == 1 ? 0 : salt % count];
  }

  /// The lane for a request that is sent again: earlier ones of the same client, sent again before it, may be on a lane
  /// that has been replaced since. It must not overtake them.
  [[nodiscard]] Lane& lane_behind(const LaneKey& key, std::uint32_t salt);

  /// A lane of the same kind with nothing on its way, for one request that may hold it long; made when there is none.
  /// nullptr while the node fails, and at Settings::max_large_lanes: then the one whose client has let it stand still
  /// longest is given up, for who asks next.
  [[nodiscard]] Lane* large_lane(const LaneKey& key);

  [[nodiscard]] const std::string& host() const { return host_; }
  [[nodiscard]] std::uint16_t port() const { return port_; }
  /// "host:port", "[v6]:port".
  [[nodiscard]] const std::string& name() const { return name_; }

  /// Its connections failed several times in a row (Settings::failure_threshold); cleared by the first success.
  [[nodiscard]] bool failing() const { return failing_; }
  /// Wanted nodes are reconnected to and pinged even when no request asks for it, so that a failing one is seen to come
  /// back.
  void set_wanted(bool wanted) { wanted_ = wanted; }
  [[nodiscard]] bool wanted() const { return wanted_; }

  /// A replica is read over connections of its own that have sent READONLY.
  void set_replica(bool replica) { replica_ = replica; }
  [[nodiscard]] bool is_replica() const { return replica_; }
  /// It has answered that it serves no data now. Of a replica others may be read; it is failing until a PING says more.
  void note_refusal() { failing_ |= replica_; }
  /// From a replica it has become a primary: what it could not do as one says nothing any more.
  void note_promotion() { failing_ = false; }

  /// Connects when it never has and its zone is not known, so that its hand-shake tells. Only a wanted node tries again
  /// when that fails.
  void introduce();

  /// From the server's HELLO; empty before.
  [[nodiscard]] const std::string& server_version() const { return server_version_; }
  /// Until a HELLO has told otherwise; with each connection it is asked anew.
  [[nodiscard]] bool speaks_resp3() const { return speaks_resp3_; }
  /// Availability zone, from the server's HELLO or INFO (Settings::ask_zone) or as set by whoever learned it elsewhere;
  /// may be empty.
  [[nodiscard]] const std::string& zone() const { return zone_; }
  void set_zone(std::string_view zone) { zone_ = zone; }

  [[nodiscard]] std::size_t ready_lanes() const;
  [[nodiscard]] std::size_t pending() const;
  [[nodiscard]] std::uint64_t connects() const { return connects_; }
  [[nodiscard]] std::uint64_t failures() const { return failures_; }

 private:
  friend class Lane;
  friend class Pool;
  struct Group {
    LaneKey key;
    std::vector<std::unique_ptr<Lane>> lanes;
  };

  /// A shared lane has turned out to carry something large: it goes on as a large lane, another takes its place.
  void replace(Lane& lane);
  /// One large lane of this kind ends that has stood still for command_timeout because of its client, when there is
  /// one.
  void give_up_stalled(const LaneKey& key);
  /// A reply of the hand-shake: HELLO's and INFO's tell about the server.
  void on_introduction(std::string_view reply);
  void on_lane_ready();
  void on_lane_failed(std::uint32_t failures_in_a_row);
  /// It takes connections but does not answer: failing at once, the threshold is for what may be an accident.
  void on_silence() { failing_ = true; }
  /// It answers PING: that it serves, or that it does not (LOADING, MASTERDOWN); see note_refusal().
  void on_ping(bool serves) { failing_ = !serves && replica_; }
  void tick(std::uint32_t now_ms);
  void revive(std::uint32_t now_ms);
  void retire(std::string_view reason);
  [[nodiscard]] bool gone() const;

  Pool& pool_;
  std::string host_;
  std::uint16_t port_;
  std::string name_;
  std::string server_version_;
  std::string zone_;
  [[nodiscard]] Group& special(const LaneKey& key);
  void fill(Group& group, const LaneKey& key);
  template <typename Visit>
  void each_lane(Visit&& visit) const {
    // By index: a visit may lead to further lanes.
    const auto visit_all = [&](const std::vector<std::unique_ptr<Lane>>& lanes) {
      for (std::size_t i = 0; i < lanes.size(); ++i) visit(*lanes[i]);
    };
    for (const Group& group : plain_) visit_all(group.lanes);
    for (std::size_t i = 0; i < special_.size(); ++i) visit_all(special_[i].lanes);
    visit_all(large_);
  }

  std::array<Group, 2> plain_;  // by protocol: a primary, database 0, which is nearly all there is
  std::deque<Group> special_;   // the rest: few, and in their place for good
  std::vector<std::unique_ptr<Lane>> large_;
  bool failing_ = false;
  bool wanted_ = false;
  bool replica_ = false;
  bool retired_ = false;
  bool speaks_resp3_ = true;
  std::uint32_t named_ms_ = 0;  ///< when somebody last asked the pool for it
  std::uint64_t connects_ = 0;
  std::uint64_t failures_ = 0;
};

}  // namespace pool
