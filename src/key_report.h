// SLUICE HOTKEYS and SLUICE BIGKEYS: what the workers have seen of keys, put together and written for people.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "src/big_keys.h"
#include "src/round.h"
#include "src/shown_key.h"

namespace sluice {

/// The keys asked for most.
class HotKeysRound final : public Round {
 public:
  /// `count`: at most so many keys.
  HotKeysRound(Session& session, std::size_t count) : Round(session), count_(count) {}

 private:
  struct Line {
    ShownKey key;
    std::uint64_t requests;  ///< of the sample, at least
  };

  void visit(Worker& worker) override;
  [[nodiscard]] std::string reply() override;

  const std::size_t count_;
  std::uint32_t age_ms_ = 0;
  std::uint64_t requests_ = 0;  ///< of the sample, with any key
  std::vector<Line> lines_;
};

/// The keys with the largest values.
class BigKeysRound final : public Round {
 public:
  BigKeysRound(Session& session, std::size_t count) : Round(session), count_(count) {}

 private:
  struct Line {
    BigKey seen;
    std::uint32_t ago_ms;
    std::string command;  ///< its own: the worker's may be gone by then
  };

  void visit(Worker& worker) override;
  [[nodiscard]] std::string reply() override;

  const std::size_t count_;
  std::uint32_t age_ms_ = 0;
  std::vector<Line> lines_;
};

/// Either of both forgets.
class ForgetKeysRound final : public Round {
 public:
  enum class Table : std::uint8_t { kHotKeys, kBigKeys };
  ForgetKeysRound(Session& session, Table table) : Round(session), table_(table) {}

 private:
  void visit(Worker& worker) override;
  [[nodiscard]] std::string reply() override { return "+OK\r\n"; }

  const Table table_;
};

}  // namespace sluice
