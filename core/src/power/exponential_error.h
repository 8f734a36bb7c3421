// Forward error of x~ = e^-(H - s_d^2) b, H = A'A, computed by the SVD of R.
//
// METHOD  Duhamel's formula with E = R'D + D'R, ||D|| = 2 u s_1:
//     |dx~| <= 2 u s_1 int_0^1 max_i s_i e^-((1-t) h_i) |e^-(t h) V'b|
//                             + |s e^-(t h) V'b| dt,   h_i = s_i^2 - s_d^2,
//   by upper sums over dyadic intervals (all factors are monotone), and
//   u (|V'b| + 2 |x~|) for V'b, the exponentials and the last product. An
//   estimate: the constants of dgesdd and of Householder are taken as 1.
#pragma once

#include <vector>

namespace steelyard {

// Over |x~| = `x_norm`; `shifts` are the h_i, `b` is V'b. All of length d.
double ExponentialError(const std::vector<double>& s,
                        const std::vector<double>& shifts,
                        const std::vector<double>& b, double x_norm);

}  // namespace steelyard
