import { html, LitElement, nothing, type PropertyValues } from "lit";
import { SOLVE_METHODS } from "../../../src/config/ode.ts";
import type { Client } from "../client.ts";
import { download } from "../download.ts";
import type { DeviceReply } from "../protocol.ts";
import "./ensembles.css";
import { EXAMPLES } from "./examples.ts";
import type { FieldProblem } from "./field_editor.ts";
import "./field_editor.ts";
import { ensembleNumbers } from "./numbers.ts";
import "./phase_portrait.ts";
import type { Frame, PhasePortrait } from "./phase_portrait.ts";
import type { EnsembleFrame, EnsembleReply, EnsembleStatus } from "./protocol.ts";
import {
  choiceOf,
  type EnsembleText,
  exampleOf,
  isFixed,
  linkOf,
  outlineOf,
  type Problems,
  textOfExample,
  textOfLink,
  withNames,
} from "./settings.ts";

/** Quiet time after the last change before the ensemble is made anew, ms. */
const SETTLE_MS = 300;

const TRAILS = [
  ["0", "none"],
  ["0.8", "short"],
  ["0.95", "long"],
  ["0.99", "very long"],
] as const;

/** Many trajectories of a field that one writes, drawn as they move. */
export class EnsemblesTab extends LitElement {
  static override properties = {
    client: { attribute: false },
    query: { attribute: false },
    text: { state: true },
    status: { state: true },
    shown: { state: true },
    wrongField: { state: true },
    refused: { state: true },
    notice: { state: true },
    lost: { state: true },
  };
  declare client: Client;
  /** Of the link. */
  declare query: URLSearchParams;
  declare private text: EnsembleText;
  declare private status: EnsembleStatus | "waiting" | "failed";
  declare private shown: EnsembleFrame | undefined;
  /** What the device's compiler says against the text. */
  declare private wrongField: FieldProblem | undefined;
  declare private refused: string;
  declare private notice: string;
  declare private lost: string;
  #frame: Frame | undefined;
  /** What the worker was told to solve. */
  #configured = "";
  #runWhenBuilt = false;
  #settling: ReturnType<typeof setTimeout> | undefined;
  #stopListening: (() => void)[] = [];

  constructor() {
    super();
    this.text = textOfExample(EXAMPLES[0]!);
    this.status = "waiting";
    this.shown = undefined;
    this.wrongField = undefined;
    this.refused = "";
    this.notice = "";
    this.lost = "";
  }

  protected override createRenderRoot() {
    return this;
  }

  override connectedCallback(): void {
    super.connectedCallback();
    this.#stopListening = [
      this.client.on("ensembles", (reply) => this.#hear(reply)),
      this.client.on("device", (reply) => this.#hearDevice(reply)),
    ];
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    for (const stop of this.#stopListening) stop();
    clearTimeout(this.#settling);
  }

  protected override willUpdate(changed: PropertyValues): void {
    if (changed.has("query")) this.#takeLink();
  }

  #takeLink(): void {
    const query = new URLSearchParams(this.query);
    this.#runWhenBuilt = query.get("run") === "1";
    query.delete("run");
    const { text, unknown } = textOfLink(query);
    this.notice = unknown.length > 0 ? `The link has choices that this page does not know: ${unknown.join(", ")}.` : "";
    this.text = text;
    this.#configured = "";
    this.#configure();
  }

  #choose(text: EnsembleText): void {
    this.text = withNames(text);
    this.notice = "";
    clearTimeout(this.#settling);
    this.#settling = setTimeout(() => {
      // Browsers refuse a page that changes its address with every move of a slider.
      this.dispatchEvent(new CustomEvent("link", { detail: linkOf(this.text) }));
      // What moves goes on moving.
      this.#runWhenBuilt ||= this.status === "running";
      this.#configure();
    }, SETTLE_MS);
  }

  #set(values: Readonly<Record<string, string>>): void {
    this.#choose({ ...this.text, values: { ...this.text.values, ...values } });
  }

  /** Has the ensemble made anew when it is another one, and its picture drawn as chosen. */
  #configure(): void {
    const read = choiceOf(this.text);
    if ("problems" in read) {
      this.#configured = "";
      this.client.send("ensembles", { kind: "pause" });
      return;
    }
    this.#sendView();
    const wanted = JSON.stringify(read.choice);
    if (wanted === this.#configured) return;
    this.#configured = wanted;
    this.wrongField = undefined;
    this.refused = "";
    this.client.send("ensembles", { kind: "configure", choice: read.choice });
  }

  #sendView(): void {
    const outline = outlineOf(this.text.source);
    if (!this.#frame || "message" in outline) return;
    const { values } = this.text;
    const trail = Number(values.trail);
    this.client.send("ensembles", {
      kind: "view",
      view: {
        ...this.#frame,
        x: outline.components.indexOf(values.x!),
        y: outline.components.indexOf(values.y!),
        trail: trail >= 0 && trail < 1 ? trail : 0,
      },
    });
  }

  #hearDevice(reply: DeviceReply): void {
    if (reply.kind === "opened") this.lost = "";
    else if (reply.kind === "lost") this.lost = reply.message || "no reason given";
  }

  #hear(reply: EnsembleReply): void {
    switch (reply.kind) {
      case "status":
        this.status = reply.status;
        if (reply.status === "paused" && this.#runWhenBuilt) {
          this.#runWhenBuilt = false;
          this.client.send("ensembles", { kind: "run" });
        }
        break;
      case "frame":
        this.shown = reply.frame;
        break;
      case "wrong-field":
        this.wrongField = reply;
        this.#configured = "";
        break;
      case "refused":
        this.refused = reply.message;
        this.#configured = "";
        break;
      case "failed":
        this.status = "failed";
        this.notice = reply.message;
        break;
      case "saved":
        download("states.csv", reply.csv);
        break;
    }
  }

  get #problems(): Problems {
    const read = choiceOf(this.text);
    return "problems" in read ? read.problems : {};
  }

  /** What is wrong with the text, at its place. */
  get #fieldProblem(): FieldProblem | undefined {
    const outline = outlineOf(this.text.source);
    return "message" in outline ? outline : this.wrongField;
  }

  protected override render() {
    const problems = this.#problems;
    const wrong = this.#fieldProblem !== undefined || this.refused !== "" || Object.keys(problems).length > 0;
    const live = (this.status === "running" || this.status === "paused") && !wrong;
    const running = this.status === "running";
    const { values } = this.text;
    return html`<div class="bench ensembles">
      <section class="choices" aria-label="Choices">${this.#fieldForm()} ${this.#rangesForm(problems)} ${this.#solveForm(problems)}</section>
      <section class="view" aria-label="Phase portrait">
        <div class="controls" role="group" aria-label="Run">
          <button class="primary" ?disabled=${!live} @click=${() => this.client.send("ensembles", { kind: running ? "pause" : "run" })}>
            ${running ? "Pause" : "Play"}
          </button>
          <button ?disabled=${!live || running} @click=${() => this.client.send("ensembles", { kind: "step" })}>Step</button>
          <button ?disabled=${this.status === "waiting" || wrong} @click=${this.#reset}>Reset</button>
          <span class="status" role="status">${this.#statusText(wrong)}</span>
        </div>
        ${this.lost ? this.#lostBanner() : nothing}
        ${this.notice ? html`<p class="notice" role="status">${this.notice}</p>` : nothing}
        <phase-portrait
          .picture=${this.shown?.picture}
          .xLabel=${values.x ?? ""}
          .yLabel=${values.y ?? ""}
          .description=${`${values.y} over ${values.x} of ${this.shown?.trajectories ?? 0} trajectories`}
          @frame=${(event: CustomEvent<Frame>) => {
            this.#frame = event.detail;
            this.#sendView();
          }}
        ></phase-portrait>
        ${this.#viewForm()} ${ensembleNumbers(this.shown, running)} ${this.#exports()}
      </section>
    </div>`;
  }

  #fieldForm() {
    const { example, source } = this.text;
    const problem = this.#fieldProblem;
    return html`<form class="config" aria-label="Vector field" @submit=${(event: Event) => event.preventDefault()}>
      <h2>Vector field</h2>
      <div class="field">
        <label for="example">Start from</label>
        <select id="example" @change=${(event: Event) => this.#choose(textOfExample(exampleOf((event.target as HTMLSelectElement).value)!))}>
          ${EXAMPLES.map(({ id, title }) => html`<option value=${id} .selected=${id === example}>${title}</option>`)}
        </select>
      </div>
      <field-editor
        .text=${source}
        .problem=${problem}
        @choose=${(event: CustomEvent<string>) => this.#choose({ ...this.text, source: event.detail })}
      ></field-editor>
      <p class="field-problem" id="field-problem" role="status">
        ${
          problem
            ? html`<strong>${problem.place ? `Line ${problem.place.line}: ` : ""}${problem.message}</strong>`
            : "dy/dt = vector_field(t, y, p). The head names components and parameters."
        }
      </p>
    </form>`;
  }

  #rangesForm(problems: Problems) {
    const outline = outlineOf(this.text.source);
    if ("message" in outline) return nothing;
    const { components, parameters } = outline;
    return html`<form class="config" aria-label="Ranges" @submit=${(event: Event) => event.preventDefault()}>
      <h2>Ranges over the trajectories</h2>
      <fieldset>
        <legend>Start, y(0)</legend>
        ${components.map((name) => this.#range(`y.${name}`, name, problems))}
      </fieldset>
      ${
        parameters.length === 0
          ? nothing
          : html`<fieldset>
              <legend>Parameters</legend>
              ${parameters.map(({ name, value }) => this.#range(`p.${name}`, name, problems, value))}
            </fieldset>`
      }
    </form>`;
  }

  /** From, to and, round a parameter's value in the text, a slider that moves both. */
  #range(key: string, name: string, problems: Problems, value?: number) {
    const { values } = this.text;
    const [from, to] = [`${key}.from`, `${key}.to`];
    const problem = problems[from] ?? problems[to];
    const input = (at: string, end: string) =>
      html`<input
        type="number"
        step="any"
        aria-label=${`${name}, ${end}`}
        aria-invalid=${problems[at] !== undefined}
        .value=${values[at] ?? ""}
        @change=${(event: Event) => this.#set({ [at]: (event.target as HTMLInputElement).value })}
      />`;
    return html`<div class="range">
      <span class="name">${name}</span>${input(from, "from")}<span aria-hidden="true">…</span>${input(to, "to")}
      ${value === undefined ? nothing : this.#slider(name, from, to, value)}
      ${problem ? html`<p class="help"><strong>${name} ${problem}</strong></p>` : nothing}
    </div>`;
  }

  #slider(name: string, from: string, to: string, value: number) {
    const { values } = this.text;
    const [low, high] = value === 0 ? [-1, 1] : [Math.min(0, 2 * value), Math.max(0, 2 * value)];
    const middle = (Number(values[from]) + Number(values[to])) / 2;
    const half = (Number(values[to]) - Number(values[from])) / 2;
    const move = (event: Event) => {
      const centre = Number((event.target as HTMLInputElement).value);
      this.#set({ [from]: String(rounded(centre - half)), [to]: String(rounded(centre + half)) });
    };
    return html`<input
      type="range"
      min=${low}
      max=${high}
      step="any"
      aria-label=${`${name}, middle of the range`}
      aria-valuetext=${`${values[from]} to ${values[to]}`}
      .value=${String(middle)}
      @input=${move}
    />`;
  }

  #solveForm(problems: Problems) {
    const { values } = this.text;
    const number = (key: string, label: string, help: string) =>
      this.#field(
        key,
        label,
        problems[key] ? html`<strong>${label} ${problems[key]}</strong>` : help,
        html`<input
          id=${`ensemble-${key}`}
          type="number"
          step="any"
          aria-describedby=${`ensemble-${key}-help`}
          aria-invalid=${problems[key] !== undefined}
          .value=${values[key] ?? ""}
          @change=${(event: Event) => this.#set({ [key]: (event.target as HTMLInputElement).value })}
        />`,
      );
    return html`<form class="config" aria-label="Solve" @submit=${(event: Event) => event.preventDefault()}>
      <h2>Solve</h2>
      ${number("n", "Trajectories", "Integrated side by side, one an invocation.")}
      ${this.#select(
        "method",
        "Method",
        "Explicit, stiff, symplectic and reversible ones.",
        SOLVE_METHODS.map((name) => [name, name] as const),
      )}
      ${
        isFixed(values.method!)
          ? number("steps", "Steps a picture", "Of equal length.")
          : number("tolerance", "Tolerance", "Of a step's error, relative and absolute.")
      }
      ${number("interval", "Time a picture", "From one picture to the next; at most 60 a second.")}
      ${number("end", "Stop at t", "Where all trajectories end.")} ${number("seed", "Seed", "Of the random numbers in the ranges.")}
    </form>`;
  }

  #viewForm() {
    const outline = outlineOf(this.text.source);
    const names = "message" in outline ? [] : outline.components.map((name) => [name, name] as const);
    return html`<form class="axes" aria-label="Picture" @submit=${(event: Event) => event.preventDefault()}>
      ${this.#select("x", "Across", "", names)} ${this.#select("y", "Up", "", names)} ${this.#select("trail", "Trails", "", TRAILS)}
    </form>`;
  }

  #select(key: string, label: string, help: string, options: readonly (readonly [value: string, label: string])[]) {
    const value = this.text.values[key];
    const known = options.some(([option]) => option === value);
    return this.#field(
      key,
      label,
      help,
      html`<select
        id=${`ensemble-${key}`}
        aria-describedby=${help ? `ensemble-${key}-help` : nothing}
        @change=${(event: Event) => this.#set({ [key]: (event.target as HTMLSelectElement).value })}
      >
        ${(known || value === undefined ? options : [...options, [value, value] as const]).map(
          ([option, title]) => html`<option value=${option} .selected=${option === value}>${title}</option>`,
        )}
      </select>`,
    );
  }

  #field(key: string, label: string, help: unknown, input: unknown) {
    return html`<div class="field">
      <label for=${`ensemble-${key}`}>${label}</label>
      ${input} ${help ? html`<p class="help" id=${`ensemble-${key}-help`}>${help}</p>` : nothing}
    </div>`;
  }

  #reset(): void {
    this.#configured = "";
    this.#runWhenBuilt = false;
    this.#configure();
  }

  #statusText(wrong: boolean): string {
    if (this.lost) return "Stopped: the device was lost.";
    if (this.refused) return `Refused: ${this.refused}.`;
    if (wrong) return "Not built: see what is marked.";
    switch (this.status) {
      case "waiting":
      case "building":
        return "Compiling …";
      case "running":
        return "Running.";
      case "paused":
        return "Paused.";
      case "done":
        return "Done: the end is reached.";
      case "failed":
        return "Stopped by an error.";
    }
  }

  #lostBanner() {
    return html`<div class="lost" role="alert">
      <p>The device was lost: ${this.lost}. The ensemble goes on from its last picture.</p>
      <button @click=${() => (this.#configured ? this.client.send("ensembles", { kind: "run" }) : this.#configure())}>
        Restart and go on
      </button>
    </div>`;
  }

  #exports() {
    const { source } = this.text;
    return html`<div class="controls exports" role="group" aria-label="Export">
      <button @click=${this.#savePicture}>Save picture (PNG)</button>
      <button ?disabled=${!this.shown} @click=${() => this.client.send("ensembles", { kind: "save" })}>Save states (CSV)</button>
      <button
        title="deeplimit solve FILE integrates this field on the command line"
        @click=${() => download("field.wgsl", new Blob([source], { type: "text/plain" }))}
      >
        Save field for “deeplimit solve” (WGSL)
      </button>
      <button @click=${this.#copyLink}>Copy link</button>
    </div>`;
  }

  #savePicture(): void {
    this.querySelector<PhasePortrait>("phase-portrait")!.canvas.toBlob((blob) => {
      if (blob) download("phase-portrait.png", blob);
    });
  }

  async #copyLink(): Promise<void> {
    const link = `${location.href.split("#")[0]}#ensembles?${linkOf(this.text)}`;
    try {
      await navigator.clipboard.writeText(link);
      this.notice = "The link is in the clipboard: it makes this ensemble again.";
    } catch {
      this.notice = link;
    }
  }
}

function rounded(value: number): number {
  return Number(value.toPrecision(4));
}

customElements.define("ensembles-tab", EnsemblesTab);
