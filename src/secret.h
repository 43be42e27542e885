// A password or a shared secret. It cannot be printed by accident: there is no conversion to text but reveal().
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <variant>

namespace sluice {

class Secret {
 public:
  Secret() = default;
  explicit Secret(std::string value) : value_(std::move(value)) {}

  [[nodiscard]] bool empty() const { return value_.empty(); }
  /// For the one place that sends it or compares it; never for a log or an error text.
  [[nodiscard]] const std::string& reveal() const { return value_; }
  bool operator==(const Secret&) const = default;

 private:
  std::string value_;
};

/// Why a secret cannot be had. Names the variable or the file, never a value.
struct SecretError {
  std::string message;
};

/// How a secret is written in a configuration: `${NAME}` is the environment variable NAME, `@/path` is the content of
/// that file without its last line end, everything else is the secret itself. Reads the environment and the file: at
/// start only.
[[nodiscard]] std::variant<Secret, SecretError> resolve_secret(std::string_view written);

}  // namespace sluice
