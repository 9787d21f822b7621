/** deeplimit in the browser and in Node: everything that needs neither files nor an adapter of its own. */
export {
  ACTIVATIONS,
  type Activation,
  type DenseShape,
  denseScales,
  denseShapeSchema,
  INITIALISATIONS,
  type Initialisation,
  LOSSES,
  type Loss,
} from "./config/dense.ts";
export { ConfigError, DataError, FieldError, type SourcePlace } from "./config/errors.ts";
export {
  clipSchema,
  depthPenaltySchema,
  FLOW_METHODS,
  type FlowConfig,
  type FlowInput,
  flowSchema,
  OPTIMISERS,
  type Schedule,
  scheduleFactor,
  scheduleSchema,
} from "./config/flow.ts";
export {
  BASIS_KINDS,
  type Basis,
  NEURAL_METHODS,
  type NeuralMethod,
  type NeuralShape,
  type NeuralSolver,
  neuralOdeSchema,
} from "./config/neural.ts";
export {
  type EnsembleConfig,
  type EnsembleInput,
  ensembleSchema,
  type Reduction,
  reductionSchema,
  SOLVE_CONTROLLERS,
  SOLVE_METHODS,
  SOLVE_NORMS,
  type SolveMethod,
  type UserField,
} from "./config/ode.ts";
export { decodeCifar } from "./data/cifar.ts";
export { gunzip, isGzip } from "./data/gzip.ts";
export { decodeIdx, decodeIdxImages, type IdxArray, type IdxFile } from "./data/idx.ts";
export {
  decodeSplit,
  expectedFiles,
  type FileBytes,
  IMAGE_DATASET_NAMES,
  IMAGE_DATASETS,
  type ImageDataset,
  type ImageDatasetName,
  SPLITS,
  type SplitFiles,
  type SplitName,
} from "./data/image_datasets.ts";
export type { LabelledImages } from "./data/labelled_images.ts";
export {
  type CellStore,
  type Experiment,
  type ExperimentContext,
  type ExperimentPlan,
  type ExperimentResult,
  PRESETS,
  type Preset,
  type Progress,
} from "./experiment/experiment.ts";
export type {
  Axis,
  Cell,
  Claim,
  Column,
  Figure,
  RunRecord,
  RunStatus,
  Section,
  Table,
  Verdict,
} from "./experiment/record.ts";
export { type Checkpoint, decodeSafetensors, encodeSafetensors } from "./flow/checkpoint.ts";
export { checkpointConv, convStateDict, restoreConv } from "./flow/conv_checkpoint.ts";
export {
  type AdvanceOptions,
  type Divergence,
  type FlowSnapshot,
  type FlowState,
  type FlowStatus,
  GradientFlow,
  type GradientFlowOptions,
  type ReplicaState,
} from "./flow/gradient_flow.ts";
export {
  type DepthDistance,
  type DepthNorms,
  type GradientNorms,
  INDEXINGS,
  type Indexing,
  Measurements,
} from "./flow/measurements.ts";
export { checkpointTraining, restoreTraining } from "./flow/training_checkpoint.ts";
export { type OpenBrowserOptions, openBrowser } from "./gpu/browser_adapter.ts";
export { type AdapterFacts, formatBytes, Gpu, type OpenOptions, type Tensor } from "./gpu/device.ts";
export { DeviceError, type DeviceErrorKind, KernelError } from "./gpu/errors.ts";
export type { Kernel } from "./gpu/kernel.ts";
export { type Bindings, type Grid, type KernelTime, type Params, type Range, Recorder } from "./gpu/recorder.ts";
export { type ConvInitialisation, initialConvWeights } from "./model/conv_initialisation.ts";
export { type ConvMode, ConvPass, type SgdStep } from "./model/conv_pass.ts";
export { ConvStack, type ConvState } from "./model/conv_stack.ts";
export { type DenseData, DensePass } from "./model/dense_pass.ts";
export {
  type CanonicalWeights,
  DenseStack,
  type DenseStackOptions,
  type GroupName,
  type GroupState,
  type ParameterGroup,
} from "./model/dense_stack.ts";
export { PROLONGATIONS, type Prolongation, prolongLayers, prolongWeights } from "./model/depth_prolongation.ts";
export { type Augmentation, ImageSet, type ImageSetOptions } from "./model/image_set.ts";
export {
  type InitialWeights,
  type InitialWeightsOptions,
  initialWeights,
  type MapInitialisation,
} from "./model/initialisation.ts";
export { normalTable, RandomStream } from "./model/random.ts";
export { checkDerivatives, type DerivativeCheck, type DerivativeFailure, requireDerivatives } from "./ode/check_vjp.ts";
export { SOLVE_STATUSES, type SolveStatus } from "./ode/controllers.ts";
export {
  type EnsembleCotangents,
  type EnsembleGradient,
  type EnsembleProblem,
  type EnsembleRunOptions,
  EnsembleSolve,
  type EnsembleSummary,
  type EventPoints,
  type Reconstruction,
  type ReductionResult,
  type SavedPoints,
  type TimeStatistics,
  type TrajectoryStatus,
} from "./ode/ensemble.ts";
export { evaluateField, type FieldPoints, type FieldValues } from "./ode/evaluate_field.ts";
export { checkField, type FieldFunction, type FieldHeader, type FieldText, fieldHeader } from "./ode/field_source.ts";
export { FIELD_NAMES, FIELDS, type FieldName, type Invariant, type VectorField } from "./ode/fields.ts";
export { DEPTH_METRICS, type DepthMetric, NeuralOde, type NeuralPassOptions } from "./ode/neural_ode.ts";
export {
  basisMatrix,
  type DepthFunction,
  depthDistance,
  depthNorm,
  evaluateDepth,
  massMatrix,
  projectDepth,
  projectFunction,
} from "./plan/basis.ts";
export { CONV_LAYOUTS, type ConvLayout, type ConvPlan, planConv } from "./plan/conv.ts";
export { type DenseLayout, type DensePlan, type DensePlanOptions, planDense, stackBytes } from "./plan/dense.ts";
export { DEFAULT_PROFILE, type DeviceProfile, SOFTWARE_PROFILE } from "./plan/device_profile.ts";
export { KERNEL_NAMES, type KernelName } from "./plan/kernel_name.ts";
export { type EnsemblePlan, type EnsembleRange, planEnsemble } from "./plan/ode.ts";
export { type DenseChoice, shapeClass, type TunedChoice, type Tuning } from "./plan/tuning.ts";
