#include "client/cli/help.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"

namespace steelyard::cli {
namespace {

constexpr char kIntroduction[] =
    R"(steelyard: which attention keys can ever matter, and regressions against
attention proxies, answered by a steelyard-server, with certificates.

usage: steelyard COMMAND ARGUMENTS [--flag=value ...]

)";

constexpr char kInputs[] = R"(
Every command takes --help. Inputs are files:

  keys.npy                            NumPy, float64, float32 or float16
  model.safetensors:layer0.keys       one tensor of a file; bfloat16 too
  model.safetensors:layer0.keys[3]    head 3 of it
  a.npz                               sparse, of scipy.sparse.save_npz:
                                      solve, matrices upload
  keys.npy[0:1000, :16]               slices as in Python, but without
                                      steps and only inside the array

Exit codes:

  0  done; with --verify: and the certificate held
  1  --verify: the certificate did not hold
  2  wrong flags or arguments
  3  a file cannot be read, understood or written
  4  the request breaks a rule or a limit of the server
  5  no server, or it is busy, draining or out of time; health: not serving
  6  the solve ended without convergence; the best x was still printed
  7  a bug, of the server or of this tool

Start here, with a server running (steelyard-server) and the repository's data:

  steelyard health
  steelyard universal-set tests/data/minilm_qkv.safetensors:layer0.keys[0] \
      --epsilon=0.1 --verify
)";

constexpr char kNumbers[] = R"(
Numbers in JSON are exact (shortest text that reads back to the same float64);
what is not finite is null.
)";

void PrintFlag(const FlagSpec& flag, std::ostream& out) {
  const std::string name = flag.value.empty()
                               ? absl::StrCat("--", flag.name)
                               : absl::StrCat("--", flag.name, "=", flag.value);
  constexpr std::size_t kColumn = 20;
  std::string prefix = absl::StrCat("  ", name);
  if (prefix.size() + 1 > kColumn) {
    out << prefix << "\n";
    prefix.clear();
  }
  for (const std::string& line :
       std::vector<std::string>(absl::StrSplit(flag.help, '\n'))) {
    prefix.resize(kColumn, ' ');
    out << prefix << line << "\n";
    prefix.clear();
  }
}

const char* JsonKeysOf(const std::string& command) {
  if (command == "universal-set") {
    return "sets[]: head, keys, columns, rank, size, size_bound, epsilon,\n"
           "effective_epsilon, exact, relative_score_error,\n"
           "total_sensitivity, condition_estimate, method, indices[],\n"
           "sensitivities[], upper_bounds[], undecided[], new_direction[];\n"
           "queue_seconds,\n"
           "compute_seconds, call_seconds; verification with --verify: held,\n"
           "seconds, heads[]: head, held, largest_excluded,\n"
           "largest_excluded_key, largest_member_error, attaining_queries,\n"
           "rules[]: rule, outcome (held, broken, not_checked), detail; and\n"
           "rules[] of the answer as a whole.\n";
  }
  if (command == "heavy") {
    return "epsilon; rows[]: row, indices[], scores[], scores_upper[],\n"
           "normalizer, normalizer_exponent, captured_mass, undefined,\n"
           "keys_scored; queue_seconds,\n"
           "compute_seconds, call_seconds; verification with --verify: held,\n"
           "seconds, heads[]: head, held, expected, returned, undecided,\n"
           "largest_score_error, rules[]; rules[] as in universal-set.\n";
  }
  if (command == "analyze") {
    return "version, top, near, important, causal; layers[]: name, keys,\n"
           "queries, function, heads[]: head, key_head, keys, queries,\n"
           "queries_looked_at, undefined, columns, rank, exact,\n"
           "relative_score_error, keys_kept, important[], sensitivities[],\n"
           "set_sizes[]: epsilon, size, bound; top_mass, near_mass,\n"
           "important_mass, important_and_near_mass: tenth, median,\n"
           "ninetieth, histogram[] (20 bins of [0, 1]).\n";
  }
  if (command == "stream") {
    return "name; sets[] as in universal-set; keys_sent, bytes_sent,\n"
           "reconnects, call_seconds.\n";
  }
  if (command == "attend") {
    return "rows, columns, attended[], captured_mass[], compute_seconds,\n"
           "call_seconds; verification with --verify: held, seconds,\n"
           "heads[]: head, held, largest_error, full_attention_error,\n"
           "rules[]; rules[] as in universal-set.\n";
  }
  if (command == "sets") {
    return "list: sets[] of: name, state, heads, columns, next_offset[],\n"
           "epsilon, function, causal, size_bytes, create_time, expire_time;\n"
           "show, merge: one of these; read: name, sets[] as in\n"
           "universal-set; export: output, bytes; delete: deleted[].\n";
  }
  if (command == "matrices") {
    return "list: matrices[] of: name, layout (dense, csr), nonzeros (csr),\n"
           "dtype, shape[], size_bytes, crc32c, create_time; show: one of\n"
           "these; upload: one, and resumed_at, bytes_sent, reconnects,\n"
           "call_seconds; status: committed_size, total_size, complete;\n"
           "delete: deleted[].\n";
  }
  if (command == "solve") {
    return "termination, method, iterations, rank, rank_gap,\n"
           "condition_estimate, seed, factor_cache_hit, log_smallest_ridge,\n"
           "x_shape[], x[], x_low[], x_exponents[]; one entry a right-hand\n"
           "side: converged[], relative_residual[], excess_residual[],\n"
           "residual_floor[], backward_error[],\n"
           "least_squares_backward_error[], optimality[],\n"
           "forward_error[], componentwise_error[]; trials[] of\n"
           "preconditioners: preconditioner, rank, iterations, contraction,\n"
           "build_seconds; queue_seconds, compute_seconds,\n"
           "call_seconds; verification with --verify: held,\n"
           "seconds, right_hand_sides[]: relative_residual, excess_residual,\n"
           "residual_floor, backward_error, forward_error, lapack_method,\n"
           "lapack_residual, lapack_error, difference; rules[].\n";
  }
  if (command == "predict") {
    return "y_shape[], y[], y_exponents[], call_seconds; verification with\n"
           "--verify: held, seconds, largest_error, rules[]: rule, outcome\n"
           "(held, broken, not_checked), detail.\n";
  }
  if (command == "info") {
    return "version, workers, cpu_target, blas, request_bytes_max,\n"
           "chunk_bytes_max, memory_budget_bytes, memory_reserved_bytes,\n"
           "columns_max, heads_max, right_hand_sides_max, exponent_max,\n"
           "set_memory_bytes, set_memory_reserved_bytes, streams_max,\n"
           "stores_matrices, matrix_memory_bytes, factor_memory_bytes,\n"
           "factor_memory_reserved_bytes.\n";
  }
  return "status (SERVING, NOT_SERVING, UNKNOWN), service.\n";
}

}  // namespace

void PrintHelp(std::ostream& out) {
  out << kIntroduction << "Commands:\n\n";
  for (const CommandSpec& command : Commands()) {
    out << absl::StrFormat("  %-14s  %s\n", command.name, command.summary);
  }
  out << absl::StrFormat("  %-14s  %s\n", "help",
                         "this text; help COMMAND: all of its flags");
  out << absl::StrFormat("  %-14s  %s\n", "--version", "version of this tool");
  out << kInputs;
}

void PrintHelp(const CommandSpec& command, std::ostream& out) {
  out << "usage: steelyard " << command.name
      << (command.arguments.empty() ? "" : " ") << command.arguments
      << " [--flag=value ...]\n\n"
      << command.summary << "\n\n"
      << command.text << "\n\nFlags:\n\n";
  for (const FlagSpec& flag : command.flags) PrintFlag(flag, out);
  out << "\nExamples:\n\n" << command.examples;
  out << "\nKeys of --json:\n\n" << JsonKeysOf(command.name) << kNumbers;
  out << "\nInputs and exit codes: steelyard help\n";
}

}  // namespace steelyard::cli
