#include "src/secret.h"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <optional>

namespace sluice {
namespace {

// A secret is a line of text. The bound keeps a wrong path (a device, a log) from being read without end.
constexpr std::size_t kMaxSecretFileBytes = 64 * 1024;

bool is_name_character(char c) {
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
}

// The NAME of a `${NAME}`; nullopt when the text has another form and is therefore a literal.
std::optional<std::string> variable_name(std::string_view written) {
  if (!written.starts_with("${") || !written.ends_with('}')) return std::nullopt;
  const std::string_view name = written.substr(2, written.size() - 3);
  const bool is_name = !name.empty() && std::all_of(name.begin(), name.end(), is_name_character);
  return is_name ? std::optional<std::string>(name) : std::nullopt;
}

std::variant<Secret, SecretError> secret_of_variable(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  if (value == nullptr) return SecretError{"the environment variable " + name + " is not set"};
  return Secret(value);
}

void strip_last_line_end(std::string& text) {
  if (text.ends_with('\n')) text.pop_back();
  if (text.ends_with('\r')) text.pop_back();
}

std::variant<Secret, SecretError> secret_of_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string text(kMaxSecretFileBytes + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (!file.is_open() || file.bad() || !file.eof()) {
    const bool is_long = file.is_open() && file.good();
    return SecretError{"the file " + path + (is_long ? " is too long for a secret" : " cannot be read")};
  }
  text.resize(static_cast<std::size_t>(file.gcount()));
  strip_last_line_end(text);
  return Secret(std::move(text));
}

}  // namespace

std::variant<Secret, SecretError> resolve_secret(std::string_view written) {
  if (const auto name = variable_name(written)) return secret_of_variable(*name);
  if (written.starts_with("@/")) return secret_of_file(std::string(written.substr(1)));
  return Secret(std::string(written));
}

}  // namespace sluice
