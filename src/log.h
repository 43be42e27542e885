// The log: lines on standard error, as text or JSON. Off the data path; spdlog's default logger, shared by all threads.
#pragma once

#include "src/config.h"

namespace sluice {

/// Once, before any other thread starts.
void set_up_log(const LogConfig& config);

}  // namespace sluice
