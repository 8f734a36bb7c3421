#include "client/cli/predict_spec.h"

#include "client/cli/common_flags.h"
#include "client/cli/kernel_flags.h"
#include "client/cli/set_options.h"

namespace steelyard::cli {
namespace {

std::vector<FlagSpec> PredictFlags() {
  return Concatenated({
      KernelFlags(),
      {
          {.name = "matrix",
           .kind = FlagKind::kText,
           .value = "NAME",
           .help = "A is what 'matrices upload' has stored"},
          {.name = "x-matrix",
           .kind = FlagKind::kText,
           .value = "NAME",
           .help = "X is what 'matrices upload' has stored"},
          {.name = "queries-matrix",
           .kind = FlagKind::kText,
           .value = "NAME",
           .help = "QUERIES are what 'matrices upload' has stored"},
          {.name = "verify",
           .help = "recompute rows of y here in 80-bit arithmetic (all of\n"
                   "them, or a sample of 256 where there are more); exit 1\n"
                   "if one is further off than rounding explains"},
          Output("write y to FILE.npy, or y and, where float64 cannot\n"
                 "hold it, y_exponents to FILE.safetensors"),
          Show("rows of y printed."),
      },
      CommonFlags(),
  });
}

}  // namespace

CommandSpec PredictSpec() {
  return {
      .name = "predict",
      .arguments = "[A] [X] [QUERIES]",
      .argument_count = 0,
      .argument_count_most = 3,
      .summary = "values of a kernel regression at new rows",
      .text =
          "After 'solve --problem=attention-kernel' on A (n x d) gave X (n, "
          "or\n"
          "n x k): its values y (m x k) at the rows of QUERIES (m x d), each "
          "of\n"
          "the three a file or a stored matrix.\n"
          "\n"
          "  --normalization  y\n"
          "  none             y_i = sum_j exp(s q_i.a_j) x_j\n"
          "  unit-diagonal    y_i = sum_j exp(-s |q_i - a_j|^2 / 2) x_j\n"
          "  softmax-rows     y_i = sum_j exp(s q_i.a_j) x_j\n"
          "                         / sum_j exp(s q_i.a_j)\n"
          "\n"
          "Take --scale and --normalization as the solve had them; its ridges\n"
          "are no part of a prediction. At the rows of A itself, y is b less\n"
          "ridge times x. Where X is the tensor x of a .safetensors file of\n"
          "'solve', the x_exponents beside it are read, too.",
      .flags = PredictFlags(),
      .examples =
          "  steelyard solve keys.npy values.npy --problem=attention-kernel "
          "\\\n"
          "      --scale=0.177 --normalization=unit-diagonal --ridge=0.1 \\\n"
          "      --output=x.npy\n"
          "  steelyard predict keys.npy x.npy new_keys.npy --scale=0.177 \\\n"
          "      --normalization=unit-diagonal --verify --output=y.npy\n"
          "  steelyard predict fit.safetensors:x new.npy --matrix=keys \\\n"
          "      --scale=0.5\n",
  };
}

}  // namespace steelyard::cli
