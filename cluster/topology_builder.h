// A topology while it is put together: which primary claims which slot, and what is known about every node.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "cluster/topology.h"

namespace cluster {

class TopologyBuilder {
 public:
  /// Numbers shards in the order of their first mention. There are never more than one per slot, and one to come.
  using Index = std::uint16_t;

  TopologyBuilder();

  /// The shard of this primary, made when there is none. Fills in what was not known about the node.
  [[nodiscard]] Index shard_of(const Node& primary);

  /// The shard of this primary; nullopt when there is none.
  [[nodiscard]] std::optional<Index> find_shard(const Address& primary) const;

  /// A replica named twice counts once; a primary is no replica of itself.
  void add_replica(Index shard, const Node& replica);

  /// Takes the slots of `range` that no shard has yet: the first claim holds.
  void claim(SlotRange range, Index shard);

  /// Takes one slot, whoever had it.
  void assign(Slot slot, Index shard) { owner_[slot] = shard; }

  /// Learns a node's id and zone without giving it a part.
  void learn(const Node& node);

  /// The topology in its canonical order. Shards without slots are left out.
  [[nodiscard]] Topology build() const;

 private:
  static constexpr Index kNobody = 0xffff;

  struct Draft {
    Address primary;
    std::vector<Address> replicas;  ///< as they were named, repeated ones included
  };

  /// The shard of a draft, its ranges still missing.
  [[nodiscard]] Shard finish(const Draft& draft) const;

  std::map<Address, Node> nodes_;        ///< everything known about each address
  std::map<Address, Index> by_primary_;  ///< into drafts_
  std::vector<Draft> drafts_;
  std::array<Index, kSlotCount> owner_;  ///< into drafts_, or kNobody
};

}  // namespace cluster
