#include "cluster/topology.h"

#include <array>
#include <cstddef>
#include <map>

#include "cluster/topology_builder.h"

namespace cluster {
namespace {

/// The ballot of one slot. Votes are counted per primary, and only the counters that were touched are cleared, so that a
/// slot costs as many steps as there are answers.
class Ballot {
 public:
  explicit Ballot(std::size_t candidates) : votes_(candidates, 0) {}

  /// The first candidate of `named` among those that occur most often.
  [[nodiscard]] std::size_t winner(std::span<const std::size_t> named) {
    for (const auto candidate : named) ++votes_[candidate];
    std::size_t best = named.front();
    for (const auto candidate : named) {
      if (votes_[candidate] > votes_[best]) best = candidate;
    }
    for (const auto candidate : named) votes_[candidate] = 0;
    return best;
  }

 private:
  std::vector<std::size_t> votes_;
};

/// What the answers say, slot by slot: the primaries they name, numbered over all answers.
struct Claims {
  std::vector<const Node*> primaries;
  std::vector<std::vector<std::size_t>> by_slot{kSlotCount};  ///< into primaries, in the order of the answers

  explicit Claims(std::span<const Topology> answers) {
    std::map<Address, std::size_t> numbers;
    for (const auto& answer : answers) {
      for (const auto& shard : answer.shards) {
        const auto [found, is_new] = numbers.try_emplace(shard.primary.address, primaries.size());
        if (is_new) primaries.push_back(&shard.primary);
        note(shard.ranges, found->second);
      }
    }
  }

 private:
  void note(std::span<const SlotRange> ranges, std::size_t primary) {
    for (const auto range : ranges) {
      for (std::uint32_t slot = range.first; slot <= range.last; ++slot) by_slot[slot].push_back(primary);
    }
  }
};

void learn_nodes(TopologyBuilder& builder, std::span<const Topology> answers) {
  for (const auto& answer : answers) {
    for (const auto& shard : answer.shards) {
      builder.learn(shard.primary);
      for (const auto& replica : shard.replicas) builder.learn(replica);
    }
  }
}

}  // namespace

std::uint32_t Topology::slots_covered() const {
  std::uint32_t slots = 0;
  for (const auto& shard : shards) {
    for (const auto range : shard.ranges) slots += range.last - range.first + 1U;
  }
  return slots;
}

Topology merge_topologies(std::span<const Topology> answers) {
  const Claims claims(answers);
  Ballot ballot(claims.primaries.size());
  TopologyBuilder builder;
  learn_nodes(builder, answers);

  std::map<Address, TopologyBuilder::Index> winners;
  for (std::uint32_t slot = 0; slot < kSlotCount; ++slot) {
    const auto& named = claims.by_slot[slot];
    if (named.empty()) continue;
    const auto& primary = *claims.primaries[ballot.winner(named)];
    const auto shard = builder.shard_of(primary);
    winners.try_emplace(primary.address, shard);
    builder.assign(static_cast<Slot>(slot), shard);
  }
  for (const auto& answer : answers) {
    for (const auto& shard : answer.shards) {
      const auto winner = winners.find(shard.primary.address);
      if (winner == winners.end()) continue;
      for (const auto& replica : shard.replicas) builder.add_replica(winner->second, replica);
    }
  }
  return builder.build();
}

}  // namespace cluster
