import { html, LitElement, nothing, type PropertyValues } from "lit";
import { formatBytes } from "../../../src/gpu/device.ts";
import type { Client } from "../client.ts";
import { download } from "../download.ts";
import type { DeviceReply } from "../protocol.ts";
import "./gpu.css";
import {
  BENCH_CHOICES,
  type BenchResult,
  CONFORMANCE_CHOICES,
  type ConformanceResult,
  type DeviceFacts,
  type GpuChoice,
  type GpuReply,
} from "./protocol.ts";
import { ceilingsTable, claimsTable, detestTable, kernelsTable, methodsTable } from "./tables.ts";

const CHOICES = {
  conformance: {
    label: "Conformance",
    values: CONFORMANCE_CHOICES,
    titles: ["6 problems, 2 methods", "41 problems, 11 methods", "42 problems, 18 methods", "none"],
  },
  bench: {
    label: "Benchmark",
    values: BENCH_CHOICES,
    titles: ["quick: does all run?", "full: to be quoted", "none"],
  },
} as const;
const DEFAULT: GpuChoice = { conformance: "smoke", bench: "quick" };

/** Limits that decide what fits and how it is laid out; the file has all of them. */
const SHOWN_LIMITS: readonly (readonly [name: string, label: string, bytes: boolean])[] = [
  ["maxStorageBufferBindingSize", "Largest storage binding", true],
  ["maxBufferSize", "Largest buffer", true],
  ["maxComputeWorkgroupStorageSize", "Workgroup memory", true],
  ["maxComputeInvocationsPerWorkgroup", "Invocations of a workgroup", false],
  ["maxComputeWorkgroupsPerDimension", "Workgroups a dimension", false],
  ["maxStorageBuffersPerShaderStage", "Storage buffers of a kernel", false],
];

/** Whether this device computes rightly, and how fast. */
export class GpuTab extends LitElement {
  static override properties = {
    client: { attribute: false },
    query: { attribute: false },
    choice: { state: true },
    facts: { state: true },
    status: { state: true },
    detail: { state: true },
    progress: { state: true },
    conformance: { state: true },
    bench: { state: true },
    notice: { state: true },
  };
  declare client: Client;
  /** Of the link. */
  declare query: URLSearchParams;
  declare private choice: GpuChoice;
  declare private facts: DeviceFacts | undefined;
  declare private status: "idle" | "running" | "done" | "stopped" | "failed";
  declare private detail: string;
  declare private progress: { readonly done: number; readonly total: number; readonly label: string } | undefined;
  declare private conformance: ConformanceResult | undefined;
  declare private bench: BenchResult | undefined;
  declare private notice: string;
  /** What the results are of. */
  #measured: { readonly choice: GpuChoice; readonly date: string } | undefined;
  #stopListening: (() => void)[] = [];

  constructor() {
    super();
    this.choice = DEFAULT;
    this.facts = undefined;
    this.status = "idle";
    this.detail = "";
    this.progress = undefined;
    this.conformance = undefined;
    this.bench = undefined;
    this.notice = "";
  }

  protected override createRenderRoot() {
    return this;
  }

  override connectedCallback(): void {
    super.connectedCallback();
    this.#stopListening = [
      this.client.on("gpu", (reply) => this.#hear(reply)),
      this.client.on("device", (reply) => this.#hearDevice(reply)),
    ];
    this.client.send("gpu", { kind: "facts" });
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    for (const stop of this.#stopListening) stop();
  }

  protected override willUpdate(changed: PropertyValues): void {
    if (changed.has("query")) this.#takeLink();
  }

  #takeLink(): void {
    const unknown: string[] = [];
    const choice: Record<string, string> = { ...DEFAULT };
    for (const [key, value] of this.query) {
      const known = key in CHOICES ? (CHOICES[key as keyof GpuChoice].values as readonly string[]) : [];
      if (known.includes(value)) choice[key] = value;
      else if (key !== "run") unknown.push(`${key}=${value}`);
    }
    this.choice = choice as unknown as GpuChoice;
    this.notice = unknown.length > 0 ? `The link has choices that this page does not know: ${unknown.join(", ")}.` : "";
    if (this.query.get("run") === "1") this.#start();
  }

  #choose(key: keyof GpuChoice, event: Event): void {
    this.choice = { ...this.choice, [key]: (event.target as HTMLSelectElement).value };
    this.dispatchEvent(new CustomEvent("link", { detail: new URLSearchParams({ ...this.choice }) }));
  }

  #start(): void {
    this.conformance = undefined;
    this.bench = undefined;
    this.progress = undefined;
    this.status = "running";
    this.#measured = { choice: this.choice, date: new Date().toISOString() };
    this.client.send("gpu", { kind: "run", choice: this.choice });
  }

  #hearDevice(reply: DeviceReply): void {
    // Another adapter may have come.
    if (reply.kind === "opened") this.client.send("gpu", { kind: "facts" });
  }

  #hear(reply: GpuReply): void {
    switch (reply.kind) {
      case "facts":
        this.facts = reply.facts;
        break;
      case "started":
        this.status = "running";
        break;
      case "progress":
        this.progress = reply;
        break;
      case "conformance":
        this.conformance = reply.result;
        break;
      case "bench":
        this.bench = reply.result;
        break;
      case "ended":
        this.status = reply.status;
        this.detail = reply.detail ?? "";
        this.progress = undefined;
        break;
    }
  }

  protected override render() {
    const running = this.status === "running";
    const nothingChosen = this.choice.conformance === "none" && this.choice.bench === "none";
    return html`<div class="gpu">
      <section aria-label="Device">${this.#factsTable()}</section>
      <section aria-label="Run">
        <h2>Check and measure</h2>
        <form class="axes" aria-label="What is run" @submit=${(event: Event) => event.preventDefault()}>
          ${this.#select("conformance", running)} ${this.#select("bench", running)}
        </form>
        <p class="help">A training or an ensemble that runs meanwhile takes its share of the device: pause it first.</p>
        <div class="controls" role="group" aria-label="Run">
          <button class="primary" ?disabled=${!running && nothingChosen} @click=${() => (running ? this.client.send("gpu", { kind: "stop" }) : this.#start())}>
            ${running ? "Stop" : "Start"}
          </button>
          <button ?disabled=${running || !(this.conformance || this.bench)} @click=${this.#save}>Save results (JSON)</button>
          <span class="status" role="status">${this.#statusText()}</span>
        </div>
        ${running ? this.#progressBar() : nothing} ${this.notice ? html`<p class="notice" role="status">${this.notice}</p>` : nothing}
      </section>
      ${this.conformance ? this.#conformanceResult(this.conformance) : nothing} ${this.bench ? this.#benchResult(this.bench) : nothing}
    </div>`;
  }

  #select(key: keyof GpuChoice, disabled: boolean) {
    const { label, values, titles } = CHOICES[key];
    return html`<div class="field">
      <label for=${`gpu-${key}`}>${label}</label>
      <select id=${`gpu-${key}`} ?disabled=${disabled} @change=${(event: Event) => this.#choose(key, event)}>
        ${values.map((value, i) => html`<option value=${value} .selected=${value === this.choice[key]}>${titles[i]}</option>`)}
      </select>
    </div>`;
  }

  #statusText(): string {
    switch (this.status) {
      case "idle":
        return "Nothing was run yet.";
      case "running":
        return "Running.";
      case "done":
        return "Done.";
      case "stopped":
        return "Stopped: what was finished is below.";
      case "failed":
        return `Stopped by an error: ${this.detail}. What was finished is below.`;
    }
  }

  #progressBar() {
    const { done, total, label } = this.progress ?? { done: 0, total: 1, label: "opening a device" };
    return html`<p class="progress">
      <progress aria-label="Progress" max=${total} value=${done}></progress>
      <span>${label} (${done} of ${total})</span>
    </p>`;
  }

  #factsTable() {
    if (!this.facts) return html`<p>Asking the device …</p>`;
    const { adapter, features, limits } = this.facts;
    const rows = [
      ["Vendor", adapter.vendor],
      ["Architecture", adapter.architecture],
      ["Device", [adapter.device, adapter.description].filter((text) => text !== "").join(", ")],
      ["Kind", adapter.software ? "software: it computes on the processor" : "hardware"],
      ["Features", features.join(", ")],
      ...SHOWN_LIMITS.map(([name, label, bytes]) => {
        const limit = limits[name];
        return [label, limit === undefined ? "" : bytes ? formatBytes(limit) : limit.toLocaleString("en-US")];
      }),
    ];
    return html`<h2>This device</h2>
      <div class="scroll">
        <table class="numbers facts">
          <tbody>
            ${rows.map(([label, text]) => html`<tr><th scope="row">${label}</th><td>${text || "not told by the browser"}</td></tr>`)}
          </tbody>
        </table>
      </div>`;
  }

  #conformanceResult({ methods, detest, claims, failures }: ConformanceResult) {
    return html`<section aria-label="Conformance">
      <h2>Conformance of the ODE solvers</h2>
      <p class="help">
        Problems with known solutions, all float32. Each error is held against a derived bound: what an error of the tolerance
        and a few roundings in every step come to at the end.
      </p>
      ${methodsTable(methods)} ${failures.length > 0 ? html`<ul class="failures">${failures.map((text) => html`<li>${text}</li>`)}</ul>` : nothing}
      <details>
        <summary>DETEST: error over tolerance, problem by problem</summary>
        ${detestTable(detest)}
      </details>
      <details>
        <summary>Claims</summary>
        ${claimsTable(claims)}
      </details>
    </section>`;
  }

  #benchResult({ ceilings, kernels, notes }: BenchResult) {
    const quick = this.#measured?.choice.bench === "quick";
    return html`<section aria-label="Benchmark">
      <h2>Ceilings of the device</h2>
      ${quick ? html`<p class="notice">Tiny sizes and few samples: these numbers are not to be quoted.</p>` : nothing}
      ${ceilingsTable(ceilings)}
      <h2>Kernels, and their share of the ceilings</h2>
      ${kernels ? kernelsTable(kernels) : nothing}
      <details>
        <summary>Notes</summary>
        <ul>
          ${notes.map((note) => html`<li>${note}</li>`)}
        </ul>
      </details>
    </section>`;
  }

  #save(): void {
    const record = {
      ...this.#measured,
      status: this.status,
      page: "deeplimit laboratory",
      agent: navigator.userAgent,
      device: this.facts,
      conformance: this.conformance,
      bench: this.bench,
    };
    download("gpu.json", new Blob([`${JSON.stringify(record, null, 1)}\n`], { type: "application/json" }));
  }
}

customElements.define("gpu-tab", GpuTab);
