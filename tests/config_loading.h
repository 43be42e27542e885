// How the tests of the configuration load one: from YAML text, from flags, from files that vanish again.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "src/config.h"

namespace sluice {

/// How a failed comparison shows a configuration.
inline void PrintTo(const Config& config, std::ostream* out) {
  *out << describe(config);
}

}  // namespace sluice

namespace tests {

using sluice::CommandLine;
using sluice::Config;
using sluice::ConfigResult;
using Lines = std::vector<std::string>;

/// The least that a valid file holds.
inline const std::string kNodes = "backend: {nodes: [\"a:1\"]}\n";

inline ConfigResult load(const std::string& yaml) {
  return sluice::load_config_text(yaml, "sluice.yaml");
}
inline Lines errors_of(const std::string& yaml) {
  return load(yaml).errors;
}

inline CommandLine run(Lines arguments) {
  std::vector<const char*> argv{"sluice"};
  for (const std::string& argument : arguments) argv.push_back(argument.c_str());
  return sluice::read_command_line(argv);
}

inline Lines flag_errors(Lines arguments) {
  return run(std::move(arguments)).loaded.errors;
}

inline Config config_of(const ConfigResult& result) {
  EXPECT_EQ(result.errors, Lines{});
  return result.config;
}

/// A file that is gone at the end of the test.
class TemporaryFile {
 public:
  explicit TemporaryFile(const std::string& text) {
    path_ = (std::filesystem::temp_directory_path() / "sluice_config_test_XXXXXX").string();
    const int fd = mkstemp(path_.data());
    EXPECT_GE(fd, 0);
    std::ofstream(path_, std::ios::binary) << text;
    close(fd);
  }
  ~TemporaryFile() { std::filesystem::remove(path_); }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace tests
