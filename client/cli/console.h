// Where a command writes. Results go to `out`, everything else to `err`.
#pragma once

#include <ostream>
#include <string>

#include "client/cli/exit_code.h"

namespace steelyard::cli {

struct Console {
  std::ostream& out;
  std::ostream& err;
  bool err_is_terminal = false;
  // STEELYARD_SERVER; empty: unset.
  std::string server_from_environment;
};

}  // namespace steelyard::cli
