// The data of a scripted cluster, and who serves which slot: one model behind all of its nodes. It answers a command as
// a node of a real cluster would, by the rules of a slot that is being moved: MOVED, ASK after a key has left, TRYAGAIN
// for keys that are apart. Source: Redis Cluster specification, "Cluster live reconfiguration". Thread: any.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cluster/key_slot.h"
#include "resp/types.h"
#include "resp/writer.h"

namespace tests {

class FakeKeyspace {
 public:
  using NodeIndex = std::size_t;
  using Arguments = std::span<const std::string_view>;

  /// The slots are dealt out evenly. `ports`: one for each node, all on the loopback address.
  explicit FakeKeyspace(std::vector<std::uint16_t> ports)
      : ports_(std::move(ports)), down_(ports_.size()), data_(ports_.size()) {
    const std::size_t share = cluster::kSlotCount / ports_.size() + 1;
    for (std::size_t slot = 0; slot < cluster::kSlotCount; ++slot) owner_.push_back(slot / share);
  }

  /// What a node says to a command of data, PING included. `asking`: it came behind an ASKING.
  [[nodiscard]] std::string answer(NodeIndex node, Arguments arguments, resp::Protocol protocol, bool asking) {
    const std::lock_guard lock(mutex_);
    std::string out;
    resp::Writer writer(out, protocol);
    const std::string_view name = arguments[0];
    if (name == "PING") {
      writer.simple("PONG");
    } else if (name == "DBSIZE" || name == "FLUSHALL") {
      answer_for_all(node, name, writer);
    } else if (name == "CLUSTER") {
      write_slots(writer);
    } else if (const auto refusal = refuse(node, arguments, asking)) {
      writer.error(*refusal);
    } else {
      run(data_[node], arguments, writer);
    }
    return out;
  }

  /// One step of a resharding, somewhere among `slots`: a move begins, a key changes sides, or a move ends. A slot that
  /// has moved rests until no request is under way from before: `oldest` is when the oldest was sent. Of two that chase
  /// a slot which moves twice meanwhile, the second may take the shorter way.
  void reshard(std::span<const cluster::Slot> slots, std::minstd_rand& random,
               std::chrono::steady_clock::time_point oldest) {
    const std::lock_guard lock(mutex_);
    const cluster::Slot slot = slots[random() % slots.size()];
    const auto moving = moving_to_.find(slot);
    if (moving == moving_to_.end()) {
      if (moved_[slot] > oldest) return;
      moving_to_[slot] = (owner_[slot] + 1 + random() % (ports_.size() - 1)) % ports_.size();
    } else if (!move_one_key(slot, owner_[slot], moving->second)) {
      owner_[slot] = moving->second;
      moving_to_.erase(moving);
      moved_[slot] = std::chrono::steady_clock::now();
      ++moves_;
    }
  }

  /// A slot has a new owner, at once and without its keys.
  void give(cluster::Slot slot, NodeIndex to) {
    const std::lock_guard lock(mutex_);
    owner_[slot] = to;
  }

  /// A node's slots are another's, which has the data too, as a replica that has taken over.
  void promote(NodeIndex from, NodeIndex to) {
    const std::lock_guard lock(mutex_);
    std::ranges::replace(owner_, from, to);
    data_[to].insert(data_[from].begin(), data_[from].end());
  }

  /// While down, a node answers CLUSTERDOWN to all that is about data.
  void set_down(NodeIndex node, bool down) {
    const std::lock_guard lock(mutex_);
    down_[node] = down;
  }

  [[nodiscard]] std::size_t moves() const {
    const std::lock_guard lock(mutex_);
    return moves_;
  }
  /// Redirects, TRYAGAINs and CLUSTERDOWNs given.
  [[nodiscard]] std::size_t refusals() const {
    const std::lock_guard lock(mutex_);
    return refusals_;
  }

 private:
  using Data = std::map<std::string, std::string, std::less<>>;

  void answer_for_all(NodeIndex node, std::string_view name, resp::Writer& writer) {
    if (down_[node]) {
      ++refusals_;
      return writer.error(kDown);
    }
    if (name == "DBSIZE") return writer.integer(static_cast<std::int64_t>(data_[node].size()));
    data_[node].clear();
    writer.simple("OK");
  }

  static std::vector<std::string_view> keys_of(Arguments arguments) {
    const std::string_view name = arguments[0];
    const bool many = name == "MGET" || name == "MSET" || name == "DEL";
    const std::size_t step = name == "MSET" ? 2 : 1;
    std::vector<std::string_view> keys;
    for (std::size_t i = 1; i < (many ? arguments.size() : 2); i += step) keys.push_back(arguments[i]);
    return keys;
  }

  /// The error of a node that does not serve these keys; nullopt when it does.
  std::optional<std::string> refuse(NodeIndex node, Arguments arguments, bool asking) {
    const std::vector<std::string_view> keys = keys_of(arguments);
    const cluster::Slot slot = cluster::key_slot(keys[0]);
    std::size_t present = 0;
    for (const std::string_view key : keys) {
      if (cluster::key_slot(key) != slot) return "CROSSSLOT Keys in request don't hash to the same slot";
      present += data_[node].contains(key) ? 1 : 0;
    }
    if (down_[node]) {
      ++refusals_;
      return kDown;
    }
    const auto moving = moving_to_.find(slot);
    const bool complete = present == keys.size();
    ++refusals_;
    if (owner_[slot] == node) {
      if (moving != moving_to_.end() && !complete)
        return present > 0 ? kTryAgain : redirect("ASK ", slot, moving->second);
    } else if (!asking || moving == moving_to_.end() || moving->second != node) {
      return redirect("MOVED ", slot, owner_[slot]);
    } else if (keys.size() > 1 && !complete) {
      return kTryAgain;
    }
    --refusals_;
    return std::nullopt;
  }

  [[nodiscard]] std::string redirect(std::string_view word, cluster::Slot slot, NodeIndex target) const {
    return std::string(word) + std::to_string(slot) + " 127.0.0.1:" + std::to_string(ports_[target]);
  }

  static void run(Data& data, Arguments arguments, resp::Writer& writer) {
    const std::string_view name = arguments[0];
    const auto write_value = [&](std::string_view key) {
      const auto found = data.find(key);
      found == data.end() ? writer.null() : writer.bulk(found->second);
    };
    if (name == "GET") {
      write_value(arguments[1]);
    } else if (name == "MGET") {
      writer.array(arguments.size() - 1);
      for (const std::string_view key : arguments.subspan(1)) write_value(key);
    } else if (name == "SET" || name == "MSET") {
      for (std::size_t i = 1; i < arguments.size(); i += 2) {
        data.insert_or_assign(std::string(arguments[i]), std::string(arguments[i + 1]));
      }
      writer.simple("OK");
    } else if (name == "DEL") {
      std::int64_t removed = 0;
      for (const std::string_view key : arguments.subspan(1)) {
        removed += static_cast<std::int64_t>(data.erase(std::string(key)));
      }
      writer.integer(removed);
    } else if (name == "INCR") {
      std::string& counter = data[std::string(arguments[1])];
      const std::int64_t value = (counter.empty() ? 0 : std::stoll(counter)) + 1;
      counter = std::to_string(value);
      writer.integer(value);
    } else {
      writer.error("ERR unknown command '" + std::string(name) + "'");
    }
  }

  /// False when no key of the slot is left to move.
  bool move_one_key(cluster::Slot slot, NodeIndex from, NodeIndex to) {
    for (auto it = data_[from].begin(); it != data_[from].end(); ++it) {
      if (cluster::key_slot(it->first) != slot) continue;
      data_[to].insert_or_assign(it->first, it->second);
      data_[from].erase(it);
      return true;
    }
    return false;
  }

  /// CLUSTER SLOTS: one row for each run of slots with one owner.
  void write_slots(resp::Writer& writer) const {
    std::vector<std::pair<std::size_t, std::size_t>> runs;
    for (std::size_t slot = 0; slot < owner_.size(); ++slot) {
      if (slot == 0 || owner_[slot] != owner_[slot - 1]) runs.emplace_back(slot, slot);
      runs.back().second = slot;
    }
    writer.array(runs.size());
    for (const auto& [first, last] : runs) {
      writer.array(3);
      writer.integer(static_cast<std::int64_t>(first));
      writer.integer(static_cast<std::int64_t>(last));
      writer.array(3);
      writer.bulk("127.0.0.1");
      writer.integer(ports_[owner_[first]]);
      writer.bulk(std::string(40, static_cast<char>('a' + owner_[first])));
    }
  }

  static constexpr const char* kDown = "CLUSTERDOWN The cluster is down";
  static constexpr const char* kTryAgain = "TRYAGAIN Multiple keys request during rehashing of slot";

  const std::vector<std::uint16_t> ports_;
  mutable std::mutex mutex_;
  std::vector<bool> down_;                                                ///< nodes that say so
  std::vector<NodeIndex> owner_;                                          ///< of each slot
  std::map<cluster::Slot, NodeIndex> moving_to_;                          ///< slots on their way
  std::map<cluster::Slot, std::chrono::steady_clock::time_point> moved_;  ///< when a move last ended
  std::vector<Data> data_;                                                ///< of each node
  std::size_t moves_ = 0;
  std::size_t refusals_ = 0;
};

}  // namespace tests
