// The backward error of a least-squares solution, by its definition.
//
//     min { |E|_F / |A|_F : x = argmin |(A + E) x - b| },
//   columns of A scaled by powers of two to norms in [1, 2), x accordingly.
//
// METHOD  With r = b - A x, nu = |r| / |x| it is the smaller of nu and the
//   least singular value of [A, nu (I - rr'/|r|^2)], in long double. Small
//   matrices.
//
// SOURCE  Walden, Karlson, Sun, Numer. Linear Algebra Appl. 2 (1995), 271, in
//   the form of Higham, ch. 20.7.
#pragma once

#include <vector>

#include "steelyard/matrix.h"

namespace steelyard::test {

// b has the rows of A, x as many entries as A has columns. b - A x != 0.
double LeastSquaresBackwardError(const Matrix<double>& a,
                                 const Matrix<double>& b,
                                 const std::vector<double>& x);

}  // namespace steelyard::test
