import { html, LitElement, nothing, type PropertyValues } from "lit";
import type { DeviceProfile } from "../../../src/plan/device_profile.ts";
import type { Client } from "../client.ts";
import { download } from "../download.ts";
import type { LiveChart } from "../live_chart.ts";
import type { DeviceReply } from "../protocol.ts";
import "./config_form.ts";
import { charts } from "./charts.ts";
import { pictureOf } from "./export.ts";
import { csvOf } from "./history.ts";
import { deepestOf } from "./limits.ts";
import { numbers } from "./numbers.ts";
import type { Frame, RunStatus, TrainingReply } from "./protocol.ts";
import { linkOf, runFileOf, SECOND_SLOT, type SlotText, slotOf, slotsOfLink } from "./settings.ts";
import { NAMES, nothingShown, type Shown, withFrame } from "./shown.ts";

/** Quiet time after the last change of a choice before the networks are built anew, ms. */
const SETTLE_MS = 250;
/** End of the slider before the device has answered. */
const DEEPEST_UNKNOWN = 4096;

/** One or two networks that train while one looks. */
export class TrainingTab extends LitElement {
  static override properties = {
    client: { attribute: false },
    query: { attribute: false },
    texts: { state: true },
    status: { state: true },
    detail: { state: true },
    shown: { state: true },
    lost: { state: true },
    notice: { state: true },
    profile: { state: true },
    refused: { state: true },
  };
  declare client: Client;
  /** Of the link. */
  declare query: URLSearchParams;
  declare private texts: readonly SlotText[];
  declare private status: RunStatus | "waiting" | "failed";
  declare private detail: string;
  declare private shown: readonly Shown[];
  declare private lost: string;
  declare private notice: string;
  declare private profile: DeviceProfile | undefined;
  /** What the worker refused. */
  declare private refused: { readonly slot: number; readonly field: string; readonly message: string } | undefined;
  #stopListening: (() => void)[] = [];
  #settling: ReturnType<typeof setTimeout> | undefined;
  #runWhenBuilt = false;
  #deepest: readonly number[] = [];

  constructor() {
    super();
    this.texts = [];
    this.status = "waiting";
    this.detail = "";
    this.shown = [];
    this.lost = "";
    this.notice = "";
    this.profile = undefined;
    this.refused = undefined;
  }

  protected override createRenderRoot() {
    return this;
  }

  override connectedCallback(): void {
    super.connectedCallback();
    this.#stopListening = [
      this.client.on("training", (reply) => this.#hear(reply)),
      this.client.on("device", (reply) => this.#hearDevice(reply)),
    ];
    if (this.client.device) this.#hearDevice(this.client.device);
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    for (const stop of this.#stopListening) stop();
    clearTimeout(this.#settling);
  }

  protected override willUpdate(changed: PropertyValues): void {
    if (changed.has("query")) this.#takeLink();
    if (changed.has("texts") || changed.has("profile"))
      this.#deepest = this.texts.map((text) => {
        const read = slotOf(text);
        return this.profile && "slot" in read ? deepestOf(read.slot.training, this.profile) : DEEPEST_UNKNOWN;
      });
  }

  #takeLink(): void {
    const query = new URLSearchParams(this.query);
    this.#runWhenBuilt = query.get("run") === "1";
    query.delete("run");
    const { slots, unknown } = slotsOfLink(query);
    this.notice = unknown.length > 0 ? `The link has choices that this page does not know: ${unknown.join(", ")}.` : "";
    this.texts = slots;
    this.#configure();
  }

  #choose(slot: number, text: SlotText): void {
    this.texts = this.texts.map((each, i) => (i === slot ? text : each));
    this.#changed();
  }

  #compare(event: Event): void {
    const second = (event.target as HTMLInputElement).checked;
    this.texts = second
      ? [this.texts[0]!, { ...this.texts[0]!, initialisation: SECOND_SLOT.training.initialisation }]
      : [this.texts[0]!];
    this.#changed();
  }

  #changed(): void {
    this.#runWhenBuilt = false;
    this.dispatchEvent(new CustomEvent("link", { detail: linkOf(this.texts) }));
    clearTimeout(this.#settling);
    this.#settling = setTimeout(() => this.#configure(), SETTLE_MS);
  }

  /** Has the networks built, when all choices are good. */
  #configure(): void {
    this.refused = undefined;
    const read = this.texts.map(slotOf);
    const slots = read.flatMap((each) => ("slot" in each ? [each.slot] : []));
    if (slots.length < read.length) {
      this.client.send("training", { kind: "pause" });
      return;
    }
    this.shown = slots.map(nothingShown);
    this.client.send("training", { kind: "configure", slots });
  }

  #hearDevice(reply: DeviceReply): void {
    if (reply.kind === "opened") {
      this.profile = reply.profile;
      this.lost = "";
    } else if (reply.kind === "lost") this.lost = reply.message || "no reason given";
  }

  #hear(reply: TrainingReply): void {
    switch (reply.kind) {
      case "status":
        this.status = reply.status;
        this.detail = reply.detail ?? "";
        if (reply.status === "paused" && this.#runWhenBuilt) {
          this.#runWhenBuilt = false;
          this.client.send("training", { kind: "run" });
        }
        break;
      case "frame":
        this.#take(reply.frames);
        break;
      case "built":
        this.#show(reply.slot, { built: reply });
        break;
      case "resumed":
        for (const [slot, step] of reply.steps.entries()) {
          this.shown[slot]?.history.forgetAfter(step);
          this.#show(slot, { clock: [] });
        }
        this.notice = `Resumed from step ${Math.max(...reply.steps)}, the last checkpoint.`;
        break;
      case "refused":
        this.refused = reply;
        break;
      case "failed":
        this.status = "failed";
        this.notice = reply.message;
        break;
      case "first-step":
        this.dataset.firstStepMs = (reply.at - performance.timeOrigin).toFixed(0);
        break;
    }
  }

  #show(slot: number, change: Partial<Shown>): void {
    this.shown = this.shown.map((each, i) => (i === slot ? { ...each, ...change } : each));
  }

  #take(frames: readonly Frame[]): void {
    const at = performance.now();
    for (const frame of frames) {
      const shown = this.shown[frame.slot];
      if (shown) this.#show(frame.slot, withFrame(shown, frame, at));
    }
  }

  /** No network can be made of the choices. */
  get #wrong(): boolean {
    return this.refused !== undefined || this.texts.some((text) => "problems" in slotOf(text));
  }

  get #busy(): boolean {
    return this.status === "running";
  }

  #toggle(): void {
    this.client.send("training", { kind: this.#busy ? "pause" : "run" });
  }

  protected override render() {
    const live = (this.status === "running" || this.status === "paused") && !this.#wrong && !this.lost;
    return html`
      <div class="bench">
        <section class="choices" aria-label="Choices">
          ${this.texts.map((text, slot) => this.#form(text, slot))}
          <label class="compare">
            <input type="checkbox" id="compare" .checked=${this.texts.length > 1} @change=${this.#compare} />
            Compare with a second network
          </label>
        </section>
        <section class="view" aria-label="Training">
          <div class="controls" role="group" aria-label="Run">
            <button id="run" class="primary" ?disabled=${!live} @click=${this.#toggle}>${this.#busy ? "Pause" : "Start"}</button>
            <button id="step" ?disabled=${!live || this.#busy} @click=${() => this.client.send("training", { kind: "step" })}>Step</button>
            <button id="reset" ?disabled=${this.status === "waiting"} @click=${() => this.#configure()}>Reset</button>
            <span id="status" role="status">${this.#statusText()}</span>
          </div>
          ${this.lost ? this.#lostBanner() : nothing}
          ${this.notice ? html`<p class="notice" id="notice" role="status">${this.notice}</p>` : nothing}
          ${numbers(this.shown, this.#busy)} ${charts(this.shown)} ${this.#exports()}
        </section>
      </div>
    `;
  }

  #form(text: SlotText, slot: number) {
    const read = slotOf(text);
    const problems =
      "problems" in read
        ? read.problems
        : this.refused?.slot === slot
          ? { [this.refused.field]: this.refused.message }
          : {};
    return html`<config-form
      .name=${NAMES[slot]!}
      .text=${text}
      .problems=${problems}
      .deepest=${this.#deepest[slot] ?? DEEPEST_UNKNOWN}
      @choose=${(event: CustomEvent<SlotText>) => this.#choose(slot, event.detail)}
    ></config-form>`;
  }

  #statusText(): string {
    if (this.lost) return "Stopped: the device was lost.";
    if (this.refused) return `Refused: ${this.refused.message}.`;
    if (this.#wrong) return "Not built: see the marked choices.";
    switch (this.status) {
      case "waiting":
      case "building":
        return "Compiling and building …";
      case "running":
        return "Training.";
      case "paused":
        return "Paused.";
      case "done":
        return "Done: all steps taken.";
      case "diverged":
        return `Diverged: ${this.detail}.`;
      case "failed":
        return "Stopped by an error.";
    }
  }

  #lostBanner() {
    return html`<div class="lost" id="lost" role="alert">
      <p>The device was lost: ${this.lost.replace(/\.$/, "")}. The training goes on from its last checkpoint.</p>
      <button id="resume" @click=${() => this.client.send("training", { kind: "resume" })}>Restart and resume</button>
    </div>`;
  }

  #exports() {
    const files = this.texts.flatMap((text, slot) => {
      const read = slotOf(text);
      return "slot" in read ? [{ slot, config: read.slot.training }] : [];
    });
    return html`<div class="controls exports" role="group" aria-label="Export">
      <button id="save-png" @click=${this.#savePicture}>Save charts (PNG)</button>
      <button id="save-csv" @click=${() => download("training.csv", new Blob([csvOf(this.shown.map(({ history }) => history))], { type: "text/csv" }))}>
        Save numbers (CSV)
      </button>
      ${files.map(
        ({ slot, config }) => html`<button
          class="save-json"
          title="deeplimit run FILE trains this network on the command line"
          @click=${() => download(`network-${NAMES[slot]!.toLowerCase()}.json`, new Blob([runFileOf(config)], { type: "application/json" }))}
        >
          Save ${NAMES[slot]} for “deeplimit run” (JSON)
        </button>`,
      )}
      <button id="copy-link" @click=${this.#copyLink}>Copy link</button>
    </div>`;
  }

  async #savePicture(): Promise<void> {
    const style = getComputedStyle(this);
    const charts = [...this.querySelectorAll<LiveChart>("live-chart")];
    download(
      "training.png",
      await pictureOf(charts, style.getPropertyValue("--page"), style.getPropertyValue("--text")),
    );
  }

  async #copyLink(): Promise<void> {
    const link = `${location.href.split("#")[0]}#training?${linkOf(this.texts)}`;
    try {
      await navigator.clipboard.writeText(link);
      this.notice = "The link is in the clipboard: it makes this run again.";
    } catch {
      this.notice = link;
    }
  }
}

customElements.define("training-tab", TrainingTab);
