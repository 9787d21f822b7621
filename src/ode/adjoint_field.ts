import type { UserField } from "../config/ode.ts";
import type { Field } from "./ensemble_setup.ts";

/** What the field's own text calls by these names means something else in the adjoint system. */
const RENAMED = ["DIM", "State", "Pullback", "vector_field", "vector_field_vjp", "event_value", "jacobian"] as const;

/**
 * The adjoint system of y' = f(t, y; p) as a field of its own: (y, a, g)' = (f, −aᵀ ∂f/∂y, −aᵀ ∂f/∂p), with
 * 2 dimension + parameters components. Solved from t1 to t0, a and g come to be the gradient of a loss whose derivative by
 * y(t1) a begins with. `field` must have its vector_field_vjp.
 */
export function adjointField({ dimension, parameters, source, user }: Field): UserField {
  let prefix = "forward_";
  while (source.includes(prefix)) prefix = `x${prefix}`;
  const renamed = source.replace(
    new RegExp(`(?<!\\p{XIDC})(?:${RENAMED.join("|")})(?!\\p{XIDC})`, "gu"),
    (name) => prefix + name,
  );
  // Written out: a kernel takes the text as it is, and arrays must stay in registers.
  const list = (count: number, of: (i: number) => string) => Array.from({ length: count }, (_, i) => of(i)).join(", ");
  const components = [
    list(dimension, (i) => `slope[${i}]`),
    list(dimension, (i) => `-product.y[${i}]`),
    ...(parameters > 0 ? [list(parameters, (i) => `-product.p[${i}]`)] : []),
  ];
  return {
    name: `adjoint of ${user?.name ?? "field"}`,
    dimension: 2 * dimension + parameters,
    parameters,
    source: `const ${prefix}DIM = ${dimension}u;
alias ${prefix}State = array<f32, ${prefix}DIM>;
struct ${prefix}Pullback { y: ${prefix}State, p: Params, t: f32 }
${renamed}
fn vector_field(t: f32, y: State, p: Params) -> State {
  let state = ${prefix}State(${list(dimension, (i) => `y[${i}]`)});
  let slope = ${prefix}vector_field(t, state, p);
  let product = ${prefix}vector_field_vjp(t, state, p, ${prefix}State(${list(dimension, (i) => `y[${dimension + i}]`)}));
  return State(${components.join(", ")});
}
`,
  };
}
