// The same small computations wherever it is loaded: in Node on the sources, in a page and in a worker on the bundled module.

/** @param library the names of src/index.ts */
export async function probe(library, gpu) {
  const { DenseStack, DensePass, GradientFlow, Measurements, initialWeights, flowSchema, EnsembleSolve } = library;
  const shape = {
    inputs: 5,
    width: 5,
    hidden: 7,
    outputs: 5,
    depth: 12,
    activation: "gelu",
    widthFactors: "code",
    beta: 1,
  };
  const rows = 9;
  const wave = (length, step) => Float32Array.from({ length }, (_, i) => Math.sin(step * (i + 1)));
  const stack = DenseStack.create(gpu, shape, initialWeights({ shape, seed: 3, initialisation: "tied" }));
  const data = { inputs: wave(rows * 5, 0.7), targets: wave(rows * 5, 1.3), rows };
  const pass = await DensePass.create(stack, data, "mean-square", { training: true });
  const flow = await GradientFlow.create(stack, pass, flowSchema.parse({ rate: 0.05, stop: { steps: 4 } }));
  const { loss } = await flow.advance();
  const measure = await Measurements.create(stack);
  const { V, W } = await measure.depth(flow.recorder);
  const change = await stack.readChange();

  const solve = async (problem, options) => {
    const ensemble = await EnsembleSolve.create(gpu, problem, options);
    await ensemble.run();
    return [...(await ensemble.states())];
  };
  const initial = wave(3 * 11, 0.4);
  const lorenz = await solve(
    { field: "lorenz", initial, start: 0, end: 0.5 },
    { method: "rk4", steps: { kind: "fixed", count: 50 } },
  );
  const spring = {
    name: "spring",
    dimension: 2,
    parameters: ["k"],
    source: "fn vector_field(t: f32, y: State, p: Params) -> State { return State(y[1], -p[0] * y[0]); }",
  };
  const swings = await solve(
    { field: spring, initial: wave(2 * 6, 0.9), parameters: Float32Array.of(4), start: 0, end: 1 },
    { method: "bosh3", steps: { kind: "adaptive", rtol: 1e-5, atol: 1e-5 } },
  );
  return { loss, maxStep: [V.maxStep, W.maxStep], V: [...change.V], W: [...change.W], lorenz, swings };
}
