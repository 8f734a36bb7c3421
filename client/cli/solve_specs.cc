#include "client/cli/solve_specs.h"

#include "client/cli/common_flags.h"
#include "client/cli/kernel_flags.h"
#include "client/cli/set_options.h"

namespace steelyard::cli {
namespace {

constexpr std::size_t kManyArguments = 1000;

// What is solved.
std::vector<FlagSpec> ProblemFlags() {
  return {
      {.name = "problem",
       .kind = FlagKind::kChoice,
       .value = "NAME",
       .help = "gram-power, left-gram-power, matrix-exponential or\n"
               "attention-kernel. Required",
       .choices = {"gram-power", "left-gram-power", "matrix-exponential",
                   "attention-kernel"}},
      {.name = "exponent",
       .kind = FlagKind::kInteger,
       .value = "J",
       .help = "j of the powers. gram-power: in [1, 64], default 1;\n"
               "left-gram-power: in [0, 64], default 0",
       .least = 0,
       .most = 64},
      {.name = "tolerance",
       .kind = FlagKind::kReal,
       .value = "X",
       .help = "goal on the relative residual, in (0, 1). Default:\n"
               "1e-8 for attention-kernel, else what float64 allows",
       .least = 0.0,
       .most = 1.0,
       .least_is_open = true,
       .most_is_open = true},
      {.name = "ridge",
       .kind = FlagKind::kReal,
       .value = "L",
       .help = "l of the table above, >= 0. Default: 0",
       .least = 0.0},
  };
}

// Where A and B are, when they are not sent.
std::vector<FlagSpec> StoredFlags() {
  return {
      {.name = "matrix",
       .kind = FlagKind::kText,
       .value = "NAME",
       .help = "A is what 'matrices upload' has stored; the server keeps\n"
               "its factor for the next solve"},
      {.name = "b-matrix",
       .kind = FlagKind::kText,
       .value = "NAME",
       .help = "B is what 'matrices upload' has stored"},
  };
}

// By which method.
std::vector<FlagSpec> MethodFlags() {
  return {
      {.name = "method",
       .kind = FlagKind::kChoice,
       .value = "NAME",
       .help = "automatic; powers: gram, qr, svd, sketch, published (the\n"
               "algorithm of arXiv 2308.14304 as written); exponential:\n"
               "series (term by term); kernel: cholesky,\n"
               "conjugate-gradient, block-coordinate (a block of rows a\n"
               "step, for n of 100,000 and more). Default:\n"
               "automatic, the server's choice, told in the answer.\n"
               "published and series are there to be looked at",
       .choices = {"automatic", "gram", "qr", "svd", "sketch", "published",
                   "series", "cholesky", "conjugate-gradient",
                   "block-coordinate"}},
      {.name = "sketch",
       .kind = FlagKind::kChoice,
       .value = "NAME",
       .help = "of sketch, published and automatic: gaussian, srht\n"
               "(dense A only), count-sketch, sparse-sign. Default: the\n"
               "server's choice",
       .choices = {"gaussian", "srht", "count-sketch", "sparse-sign"}},
      {.name = "sketch-rows",
       .kind = FlagKind::kInteger,
       .value = "N",
       .help = "rows of that sketch, in [d, n]. Default: the server's\n"
               "choice, 4 d to 12 d",
       .least = 1},
      {.name = "terms",
       .kind = FlagKind::kInteger,
       .value = "N",
       .help = "of --method=series, >= 1. Default: what the tolerance\n"
               "takes, at most --max-iterations",
       .least = 1,
       .most = 2147483647},
  };
}

// All of them.
std::vector<FlagSpec> SolveFlags() {
  std::vector<FlagSpec> rest = Joined({
      {.name = "extended",
       .help = "powers: also return x_low; x + x_low has about 32\n"
               "digits"},
      {.name = "time-limit",
       .kind = FlagKind::kDuration,
       .value = "5s",
       .help = "stop after this much work and take the best x so far.\n"
               "Default: none",
       .least = 0.0,
       .least_is_open = true},
      {.name = "max-iterations",
       .kind = FlagKind::kInteger,
       .value = "N",
       .help = "of refinement or of the iteration, >= 1. Default: 1000",
       .least = 1,
       .most = 2147483647},
      {.name = "seed",
       .kind = FlagKind::kUnsigned,
       .value = "N",
       .help = "of every random choice, in [0, 2^64). Same seed, same\n"
               "bits. Default: the server's choice, told in the answer"},
      {.name = "verify",
       .help = "recompute the residual here in 80-bit arithmetic, and\n"
               "solve with LAPACK beside it; exit 1 if what the server\n"
               "reports does not hold. Of stored matrices too: give\n"
               "their files beside their names"},
      Output("write x to FILE.npy, or x, x_low, x_exponents to\n"
             "FILE.safetensors; float64, bit for bit"),
      Show("entries of x printed."),
  });
  return Concatenated({ProblemFlags(), KernelFlags(), StoredFlags(),
                       MethodFlags(), KernelSolverFlags(), rest});
}

}  // namespace

CommandSpec SolveSpec() {
  return {
      .name = "solve",
      .arguments = "[A] [B]",
      .argument_count = 0,
      .argument_count_most = 2,
      .summary = "regressions against attention proxies, min |M x - b|",
      .text =
          "A is n x d: FILE.npy, a tensor of FILE.safetensors, or sparse, as\n"
          "scipy.sparse.save_npz writes it: FILE.npz (not for the kernel); or\n"
          "--matrix. B is a vector, or a matrix with one column a problem; or\n"
          "--b-matrix.\n"
          "\n"
          "  problem             M               rows of b   rows of x\n"
          "  gram-power          (A'A)^j         d           d\n"
          "  left-gram-power     A (A'A)^j       n           d\n"
          "  matrix-exponential  e^(A'A)         d           d\n"
          "  attention-kernel    exp(s A A')     n           n\n"
          "\n"
          "A ridge l > 0 means (A'A + l I)^j x = b; z = argmin |Az-b|^2 +\n"
          "l |z|^2, then (A'A + l I)^j x = z; it is refused for the\n"
          "exponential; and is added to the kernel that --normalization\n"
          "names: K, its unit-diagonal form G, or its row softmax P. A small\n"
          "kernel is factored; a large one is not: conjugate gradients\n"
          "with a preconditioner that the server picks by trying, told as a\n"
          "table. 'steelyard predict' gives the values at new rows.",
      .flags = SolveFlags(),
      .examples =
          "  steelyard solve a.npy b.npy --problem=left-gram-power\n"
          "  steelyard solve a.npy b.npy --problem=gram-power --exponent=2 \\\n"
          "      --verify --output=x.npy\n"
          "  steelyard solve sparse.npz b.npy --problem=left-gram-power \\\n"
          "      --method=sketch --sketch=sparse-sign --seed=1\n"
          "  steelyard matrices upload flights a.npy\n"
          "  steelyard solve b.npy --matrix=flights --problem=left-gram-power\n"
          "  steelyard solve a.npy b.npy --matrix=flights \\\n"
          "      --problem=gram-power --verify\n"
          "  steelyard solve keys.npy values.npy --problem=attention-kernel "
          "\\\n"
          "      --scale=0.177 --ridge=0.1 --normalization=unit-diagonal\n"
          "  steelyard solve keys.npy values.npy --problem=attention-kernel "
          "\\\n"
          "      --scale=0.177 --normalization=unit-diagonal \\\n"
          "      --row-ridge=noise.npy --method=conjugate-gradient \\\n"
          "      --preconditioner=rpcholesky --preconditioner-rank=256\n",
  };
}

CommandSpec MatricesSpec() {
  return {
      .name = "matrices",
      .arguments = "ACTION [NAME...]",
      .argument_count = 1,
      .argument_count_most = kManyArguments,
      .summary = "matrices that the server stores: uploaded once, used often",
      .text =
          "  upload NAME FILE  store FILE.npy, a tensor of FILE.safetensors, "
          "or\n"
          "                    the sparse matrix of FILE.npz as NAME. When it "
          "was\n"
          "                    cut off, run it again: it goes on where it "
          "stopped\n"
          "  list              all of them\n"
          "  show NAME         shape, type, checksum\n"
          "  status NAME       how much of an upload is there\n"
          "  delete NAME...    away with them, finished or not\n"
          "\n"
          "What is stored is immutable, on disk when upload returns, and "
          "survives\n"
          "the server. A vector of n is stored as n x 1. 'solve --matrix' and\n"
          "'--b-matrix' use it; the second solve on a matrix finds its factor\n"
          "ready. The server needs --matrix-directory.",
      .flags = CommonFlags(),
      .examples =
          "  steelyard matrices upload flights a.npy\n"
          "  steelyard matrices upload flights-sparse a.npz\n"
          "  steelyard matrices list\n"
          "  steelyard solve b.npy --matrix=flights --problem=left-gram-power\n"
          "  steelyard matrices delete flights flights-sparse\n",
  };
}

}  // namespace steelyard::cli
