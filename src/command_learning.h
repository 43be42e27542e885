// Commands the table does not know: asked of a backend once (COMMAND INFO), learned for good or remembered as unknown.
// The sessions that wait for an answer are held meanwhile.
// Thread: one worker.
#pragma once

#include <cstdint>
#include <set>
#include <span>
#include <string>
#include <string_view>

#include "pool/reply_sink.h"
#include "resp/command_table.h"
#include "src/redirection.h"
#include "src/router.h"

namespace sluice {

/// Hears that waiting sessions can go on. Called inside the turn.
class LearningListener {
 public:
  virtual void on_command_learned() = 0;

 protected:
  ~LearningListener() = default;
};

class CommandLearning final : pool::ReplySink {
 public:
  CommandLearning(resp::CommandTable& table, Redirection& redirection, pool::Pool& pool, pool::PendingReplies& pending,
                  LearningListener& listener);

  enum class Verdict : std::uint8_t { kAsked, kNoCommand, kNobodyToAsk };
  /// What to do with a request whose command the table does not know. kAsked: hold the session, on_command_learned()
  /// follows.
  [[nodiscard]] Verdict ask(std::span<const std::string_view> arguments, std::uint32_t salt);

  /// Forgets what could not be asked, which all who waited have been told: it may be asked again. From time to time
  /// also what the backend did not know: modules are loaded while it runs.
  void tick();
  /// Those who waited for a command that nobody could be asked about have been told; who comes next asks again. At the
  /// end of each turn.
  void forget_unanswered() {
    if (!unanswered_.empty()) unanswered_.clear();
  }
  /// The backends may have changed: what they did not know they may know now.
  void forget_unknown() { unknown_.clear(); }

 private:
  void on_reply(pool::PendingReply& pending, std::string_view reply) override;
  void on_lost(pool::PendingReply& pending, pool::Loss loss, std::string_view reason) override;
  void settle(pool::PendingReply& pending, std::string_view reply);

  resp::CommandTable& table_;
  Redirection& redirection_;
  pool::Pool& pool_;
  pool::PendingReplies& pending_;
  LearningListener& listener_;
  std::set<std::string, std::less<>> asked_;       ///< under way
  std::set<std::string, std::less<>> unknown_;     ///< the backend knows no such command
  std::set<std::string, std::less<>> unanswered_;  ///< could not be asked
  std::uint32_t forgot_ms_ = 0;                    ///< when unknown_ was emptied by the clock
};

/// Whether the first word of a request that is not known is: then its subcommand is not.
[[nodiscard]] bool is_container(const resp::CommandTable& table, std::string_view name);

/// Redis's own words for a command that does not exist, without "-" and CRLF.
[[nodiscard]] std::string unknown_command_error(std::span<const std::string_view> arguments, bool known_container);

}  // namespace sluice
