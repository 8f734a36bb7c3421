#include "client/cli/kernel_flags.h"

#include <string>

namespace steelyard::cli {

using client::KernelNormalization;
using client::Preconditioner;

std::vector<FlagSpec> KernelFlags() {
  return {
      {.name = "scale",
       .kind = FlagKind::kReal,
       .value = "S",
       .help = "s of the attention kernel, > 0; 1/sqrt(d) is usual.\n"
               "Default: 1",
       .least = 0.0,
       .least_is_open = true},
      {.name = "normalization",
       .kind = FlagKind::kChoice,
       .value = "NAME",
       .help = "of the attention kernel: none, unit-diagonal or\n"
               "softmax-rows. Default: none",
       .choices = {"none", "unit-diagonal", "softmax-rows"}},
  };
}

KernelNormalization NormalizationOf(const Arguments& arguments) {
  const std::string name = arguments.Text("normalization").value_or("none");
  return name == "unit-diagonal"  ? KernelNormalization::kUnitDiagonal
         : name == "softmax-rows" ? KernelNormalization::kSoftmaxRows
                                  : KernelNormalization::kNone;
}

std::vector<FlagSpec> KernelSolverFlags() {
  return {
      {.name = "row-ridge",
       .kind = FlagKind::kText,
       .value = "FILE",
       .help = "kernel: n numbers >= 0, each added to --ridge in its own\n"
               "row, in the same units. Default: none"},
      {.name = "preconditioner",
       .kind = FlagKind::kChoice,
       .value = "NAME",
       .help = "kernel, of the iteration: automatic (each is tried on\n"
               "some steps, and the table told), none, jacobi,\n"
               "rpcholesky, polynomial-sketch (only where\n"
               "s |a - centre|^2 <= 30). Default: automatic",
       .choices = {"automatic", "none", "jacobi", "rpcholesky",
                   "polynomial-sketch"}},
      {.name = "preconditioner-rank",
       .kind = FlagKind::kInteger,
       .value = "R",
       .help = "columns of rpcholesky or polynomial-sketch, in [1, n].\n"
               "Default: grown while it pays",
       .least = 1,
       .most = 2147483647},
  };
}

client::AttentionKernel KernelOf(const Arguments& arguments) {
  client::AttentionKernel kernel{.scale = arguments.Real("scale").value_or(1.0),
                                 .normalization = NormalizationOf(arguments)};
  const std::string name =
      arguments.Text("preconditioner").value_or("automatic");
  for (const Preconditioner one :
       {Preconditioner::kNone, Preconditioner::kJacobi,
        Preconditioner::kRpCholesky, Preconditioner::kPolynomialSketch}) {
    if (name == FlagNameOf(one)) kernel.preconditioner = one;
  }
  if (const auto rank = arguments.Integer("preconditioner-rank")) {
    kernel.preconditioner_rank = static_cast<std::int32_t>(*rank);
  }
  return kernel;
}

absl::Status CheckKernelFlags(const Arguments& arguments) {
  const std::string name =
      arguments.Text("preconditioner").value_or("automatic");
  if (arguments.Has("preconditioner-rank") && name != "rpcholesky" &&
      name != "polynomial-sketch") {
    return absl::InvalidArgumentError(
        "--preconditioner-rank goes with --preconditioner=rpcholesky or "
        "polynomial-sketch");
  }
  if (arguments.Has("preconditioner") &&
      arguments.Text("method") == "cholesky") {
    return absl::InvalidArgumentError(
        "--preconditioner goes with an iteration, not with "
        "--method=cholesky");
  }
  return absl::OkStatus();
}

const char* FlagNameOf(Preconditioner preconditioner) {
  switch (preconditioner) {
    case Preconditioner::kAutomatic:
      break;
    case Preconditioner::kNone:
      return "none";
    case Preconditioner::kJacobi:
      return "jacobi";
    case Preconditioner::kRpCholesky:
      return "rpcholesky";
    case Preconditioner::kPolynomialSketch:
      return "polynomial-sketch";
  }
  return "automatic";
}

}  // namespace steelyard::cli
