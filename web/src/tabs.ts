/** The tabs of the page: a custom element each, loaded when it is first opened. */
export interface Tab {
  /** Word in the link. */
  readonly id: string;
  readonly title: string;
  readonly load: () => Promise<unknown>;
  /** Tag of the element that `load` defines; it gets `.client`, and `.query`, its part of the link. */
  readonly tag: string;
}

export const TABS: readonly Tab[] = [
  { id: "training", title: "Training", tag: "training-tab", load: () => import("./training/training_tab.ts") },
  { id: "ensembles", title: "Ensembles", tag: "ensembles-tab", load: () => import("./ensembles/ensembles_tab.ts") },
  { id: "gpu", title: "Your GPU", tag: "gpu-tab", load: () => import("./gpu/gpu_tab.ts") },
];
