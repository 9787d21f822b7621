import { html, LitElement, nothing } from "lit";
import { html as staticHtml, unsafeStatic } from "lit/static-html.js";
import { advice } from "./advice.ts";
import { Client } from "./client.ts";
import type { DeviceReply } from "./protocol.ts";
import { TABS } from "./tabs.ts";

type Theme = "light" | "dark";

/** The page: tabs, theme, what is said of the device. */
export class LabApp extends LitElement {
  static override properties = {
    tab: { state: true },
    device: { state: true },
    loaded: { state: true },
    theme: { state: true },
  };
  declare private tab: string;
  declare private device: DeviceReply | undefined;
  /** Tabs whose code has come. */
  declare private loaded: ReadonlySet<string>;
  declare private theme: Theme;
  readonly #client = new Client();
  readonly #queries = new Map<string, URLSearchParams>();

  constructor() {
    super();
    this.tab = TABS[0]!.id;
    this.loaded = new Set();
    this.theme = startingTheme();
    document.documentElement.dataset.theme = this.theme;
    this.#client.on("device", (reply) => {
      this.device = reply;
    });
    this.#client.openDevice();
    addEventListener("hashchange", () => this.#follow());
    this.#follow();
  }

  protected override createRenderRoot() {
    return this;
  }

  /** Opens the tab and the choices that the link names. */
  #follow(): void {
    const [id, query] = location.hash.slice(1).split("?");
    const tab = TABS.find((each) => each.id === id) ?? TABS[0]!;
    this.#queries.set(tab.id, new URLSearchParams(query));
    this.#open(tab.id);
  }

  #open(id: string): void {
    const tab = TABS.find((each) => each.id === id)!;
    if (!this.#queries.has(id)) this.#queries.set(id, new URLSearchParams());
    this.tab = id;
    document.title = `${tab.title} – deeplimit laboratory`;
    if (this.loaded.has(id)) return;
    void tab.load().then(() => {
      this.loaded = new Set([...this.loaded, id]);
    });
  }

  #link(id: string, query: URLSearchParams): void {
    // Not into #queries: the tab knows its own choices, and is not to be told them again.
    history.replaceState(null, "", `#${id}?${query}`);
  }

  #key(event: KeyboardEvent): void {
    const move = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (move === undefined) return;
    const at = TABS.findIndex(({ id }) => id === this.tab);
    const next = TABS[(at + move + TABS.length) % TABS.length]!;
    this.#open(next.id);
    this.querySelector<HTMLElement>(`#tab-${next.id}`)?.focus();
  }

  #toggleTheme(): void {
    this.theme = this.theme === "dark" ? "light" : "dark";
    document.documentElement.dataset.theme = this.theme;
    localStorage.setItem("theme", this.theme);
    document.dispatchEvent(new Event("theme"));
  }

  protected override render() {
    const { device } = this;
    return html`
      <header>
        <h1>deeplimit <span>laboratory</span></h1>
        <div role="tablist" aria-label="Parts of the laboratory" @keydown=${this.#key}>
          ${TABS.map(
            ({ id, title }) => html`<button
              role="tab"
              id=${`tab-${id}`}
              aria-selected=${id === this.tab}
              aria-controls=${`panel-${id}`}
              tabindex=${id === this.tab ? 0 : -1}
              @click=${() => this.#open(id)}
            >
              ${title}
            </button>`,
          )}
        </div>
        <button class="theme" @click=${this.#toggleTheme} aria-label=${`Switch to ${this.theme === "dark" ? "light" : "dark"} colours`}>
          ${this.theme === "dark" ? "☀" : "☾"}
        </button>
      </header>
      ${device?.kind === "unavailable" ? this.#unavailable(device.message) : TABS.map((tab) => this.#panel(tab))}
      <footer>
        <p id="adapter">${adapterText(device)}</p>
      </footer>
    `;
  }

  #panel({ id, tag }: (typeof TABS)[number]) {
    const shown = id === this.tab;
    // A tab is kept when another is shown: its training goes on.
    if (!this.loaded.has(id)) return shown ? html`<main id=${`panel-${id}`}><p>Loading …</p></main>` : nothing;
    const element = unsafeStatic(tag);
    return html`<main id=${`panel-${id}`} role="tabpanel" aria-labelledby=${`tab-${id}`} ?hidden=${!shown}>
      ${staticHtml`<${element} .client=${this.#client} .query=${this.#queries.get(id)}
        @link=${(event: CustomEvent<URLSearchParams>) => this.#link(id, event.detail)}></${element}>`}
    </main>`;
  }

  #unavailable(message: string) {
    return html`<main class="unavailable" role="alert">
      <h2>This page needs WebGPU</h2>
      <p>It computes on your own graphics processor; here ${message}.</p>
      <ul>
        ${advice(navigator.userAgent, isSecureContext).map((line) => html`<li>${line}</li>`)}
      </ul>
      <p><button @click=${() => location.reload()}>Try again</button></p>
    </main>`;
  }
}

function adapterText(device: DeviceReply | undefined): string {
  switch (device?.kind) {
    case undefined:
      return "Looking for a WebGPU device …";
    case "opened":
      return `Computing on ${device.name}.`;
    case "unavailable":
      return "No WebGPU device.";
    case "lost":
      return "The WebGPU device was lost.";
  }
}

function startingTheme(): Theme {
  const chosen = localStorage.getItem("theme");
  if (chosen === "light" || chosen === "dark") return chosen;
  return matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
}

customElements.define("lab-app", LabApp);
