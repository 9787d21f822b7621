// Small linear systems: A = P⁻¹ L U of a matrix of DIM rows, Gaussian elimination with partial pivoting (the first of equal pivots);
//   x with A x = b, or Aᵀ x = b. A singular matrix gives factors that are not finite. Order of the operations as in
//   src/reference/linear_solve.ts. In registers where the loops are short; longer ones stay loops over memory.
import package::common::ode_field::{DIM, State};

alias OdeMatrix = array<State, DIM>;

struct OdeFactors {
  lu: OdeMatrix, // L below the diagonal, U on and above it
  pivots: array<u32, DIM>, // row that changed places with row k in step k
}

fn factorise(matrix: OdeMatrix) -> OdeFactors {
  var lu = matrix;
  var pivots = array<u32, DIM>();
  //@unroll up to 6
  for (var k = 0u; k < DIM; k++) {
    var pivot = k;
    var size = abs(lu[k][k]);
    //@unroll up to 6
    for (var i = k + 1u; i < DIM; i++) {
      let larger = abs(lu[i][k]) > size;
      pivot = select(pivot, i, larger);
      size = select(size, abs(lu[i][k]), larger);
    }
    pivots[k] = pivot;
    // A row of a known number a branch: with a number from memory, the matrix would leave the registers.
    //@unroll up to 6
    for (var i = k + 1u; i < DIM; i++) {
      if (pivot == i) {
        let row = lu[k];
        lu[k] = lu[i];
        lu[i] = row;
      }
    }
    //@unroll up to 6
    for (var i = k + 1u; i < DIM; i++) {
      let factor = lu[i][k] / lu[k][k];
      lu[i][k] = factor;
      //@unroll up to 6
      for (var j = k + 1u; j < DIM; j++) {
        lu[i][j] -= factor * lu[k][j];
      }
    }
  }
  return OdeFactors(lu, pivots);
}

fn solve_factored(factors: ptr<function, OdeFactors>, b: State) -> State {
  var x = b;
  //@unroll up to 6
  for (var k = 0u; k < DIM; k++) {
    //@unroll up to 6
    for (var i = k + 1u; i < DIM; i++) {
      let swaps = (*factors).pivots[k] == i;
      let above = x[k];
      x[k] = select(above, x[i], swaps);
      x[i] = select(x[i], above, swaps);
    }
  }
  //@unroll up to 6
  for (var i = 1u; i < DIM; i++) {
    //@unroll up to 6
    for (var j = 0u; j < i; j++) {
      x[i] -= (*factors).lu[i][j] * x[j];
    }
  }
  //@unroll up to 6
  for (var r = 0u; r < DIM; r++) {
    //@unroll up to 6
    for (var j = DIM - r; j < DIM; j++) {
      x[DIM - 1u - r] -= (*factors).lu[DIM - 1u - r][j] * x[j];
    }
    x[DIM - 1u - r] /= (*factors).lu[DIM - 1u - r][DIM - 1u - r];
  }
  return x;
}

fn solve_transposed(factors: ptr<function, OdeFactors>, b: State) -> State {
  var x = b;
  //@unroll up to 6
  for (var i = 0u; i < DIM; i++) {
    //@unroll up to 6
    for (var j = 0u; j < i; j++) {
      x[i] -= (*factors).lu[j][i] * x[j];
    }
    x[i] /= (*factors).lu[i][i];
  }
  //@unroll up to 6
  for (var r = 0u; r < DIM; r++) {
    //@unroll up to 6
    for (var j = DIM - r; j < DIM; j++) {
      x[DIM - 1u - r] -= (*factors).lu[j][DIM - 1u - r] * x[j];
    }
  }
  //@unroll up to 6
  for (var r = 0u; r < DIM; r++) {
    //@unroll up to 6
    for (var i = DIM - r; i < DIM; i++) {
      let swaps = (*factors).pivots[DIM - 1u - r] == i;
      let above = x[DIM - 1u - r];
      x[DIM - 1u - r] = select(above, x[i], swaps);
      x[i] = select(x[i], above, swaps);
    }
  }
  return x;
}
