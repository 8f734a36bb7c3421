// Reflectors that clear a block of rows below a triangle.
#pragma once

#include "linalg/block.h"

namespace steelyard {

// [R; B] -> [R_new; 0] for one panel of w columns: Q' [R; B] with
// Q = I - V T V', V = [I; W].
//
// r: w x w upper triangle, replaced by R_new (its lower part is not touched).
// wt: w x h; holds B' on entry and W' afterwards. t: w x w, T afterwards
// (upper; its lower part is scratch).
// COST  2 h w^2 flops, one thread.
void FactorPanel(Block<double> r, Block<double> wt, Block<double> t);

// Columns to the right of a panel: [C; B] -> Q' [C; B]. c: w x k, b: h x k,
// scratch: w x k.
// COST  4 h w k flops, one thread.
void ApplyPanel(Block<const double> wt, Block<const double> t, Block<double> c,
                Block<double> b, Block<double> scratch);

}  // namespace steelyard
