import { html, LitElement, nothing } from "lit";
import { FIELD_GROUPS, type Field } from "./fields.ts";
import type { Problems, SlotText } from "./settings.ts";

/** The choices of one network. Every change is an event `choose` with the new text. */
export class ConfigForm extends LitElement {
  static override properties = {
    name: {},
    text: { attribute: false },
    problems: { attribute: false },
    deepest: { type: Number },
  };
  /** A or B. */
  declare name: string;
  declare text: SlotText;
  declare problems: Problems;
  /** Greatest depth of the slider: what the device holds. */
  declare deepest: number;

  constructor() {
    super();
    this.name = "A";
    this.text = {};
    this.problems = {};
    this.deepest = 4096;
  }

  protected override createRenderRoot() {
    return this;
  }

  protected override render() {
    return html`<form class="config" data-slot=${this.name} aria-label=${`Network ${this.name}`} @submit=${(event: Event) => event.preventDefault()}>
      <h2><span class=${`swatch ${this.name.toLowerCase()}`}></span>Network ${this.name}</h2>
      ${FIELD_GROUPS.map(
        ({ title, fields }) => html`<fieldset>
          <legend>${title}</legend>
          ${fields.map((field) => (field.shown?.(this.text) === false ? nothing : this.#field(field)))}
        </fieldset>`,
      )}
    </form>`;
  }

  #field(field: Field) {
    const id = `${this.name}-${field.key}`;
    const problem = this.problems[field.key];
    return html`<div class="field">
      <label for=${id}>${field.label}</label>
      ${this.#input(field, id, problem !== undefined)}
      <p class="help" id=${`${id}-help`}>${problem ? html`<strong>${problem}</strong>` : field.help}</p>
    </div>`;
  }

  #input(field: Field, id: string, wrong: boolean) {
    const value = this.text[field.key] ?? "";
    if (field.kind === "choice")
      return html`<select id=${id} aria-describedby=${`${id}-help`} @change=${(event: Event) => this.#choose(field.key, event)}>
        ${field.options.map(([option, label]) => html`<option value=${option} .selected=${option === value}>${label}</option>`)}
      </select>`;
    const number = html`<input
      id=${id}
      type="number"
      inputmode="decimal"
      step=${field.kind === "number" ? (field.step ?? "1") : "1"}
      .value=${value}
      aria-invalid=${wrong}
      aria-describedby=${`${id}-help`}
      @change=${(event: Event) => this.#choose(field.key, event)}
    />`;
    if (field.kind === "number") return number;
    const exponent = Math.log2(Number(value));
    return html`<div class="slider">
      <input
        type="range"
        min="1"
        max=${Math.floor(Math.log2(this.deepest))}
        step="1"
        .value=${String(Math.round(exponent))}
        aria-label=${`${field.label}, powers of two`}
        aria-valuetext=${value}
        @input=${(event: Event) => this.#set(field.key, String(2 ** Number((event.target as HTMLInputElement).value)))}
      />
      ${number}
    </div>`;
  }

  #choose(key: string, event: Event): void {
    this.#set(key, (event.target as HTMLInputElement | HTMLSelectElement).value);
  }

  #set(key: string, value: string): void {
    if (this.text[key] === value) return;
    this.dispatchEvent(new CustomEvent<SlotText>("choose", { detail: { ...this.text, [key]: value } }));
  }
}

customElements.define("config-form", ConfigForm);
