import { lintGutter, setDiagnostics } from "@codemirror/lint";
import { EditorState } from "@codemirror/state";
import { Decoration, EditorView, lineNumbers, MatchDecorator, ViewPlugin, type ViewUpdate } from "@codemirror/view";
import { minimalSetup } from "codemirror";
import { html, LitElement, type PropertyValues } from "lit";
import type { SourcePlace } from "../../../src/config/errors.ts";

export interface FieldProblem {
  readonly message: string;
  readonly place: SourcePlace | undefined;
}

const WORDS = {
  keyword:
    "fn|let|var|const|return|if|else|for|while|loop|switch|case|default|break|continue|struct|alias|true|false|select",
  type: "f32|i32|u32|bool|vec[234][fiu]?|mat[234]x[234]f?|array|State|Params|Pullback",
  number: "(?:\\d+\\.?\\d*|\\.\\d+)(?:[eE][+-]?\\d+)?[fiu]?",
};
/** Comment, keyword, type, number: the groups of one match. */
const TOKENS = new RegExp(`(\\/\\/.*)|\\b(${WORDS.keyword})\\b|\\b(${WORDS.type})\\b|\\b(${WORDS.number})`, "g");
const MARKS = ["comment", "keyword", "type", "number"].map((name) => Decoration.mark({ class: `wgsl-${name}` }));

const matcher = new MatchDecorator({
  regexp: TOKENS,
  decoration: (match) => MARKS[match.slice(1).findIndex((group) => group !== undefined)]!,
});
const colours = ViewPlugin.define(
  (view) => ({
    decorations: matcher.createDeco(view),
    update(update: ViewUpdate) {
      this.decorations = matcher.updateDeco(update, this.decorations);
    },
  }),
  { decorations: (plugin) => plugin.decorations },
);

/** A text in WGSL, with what is wrong with it underlined. Every change is an event `choose` with the new text. */
export class FieldEditor extends LitElement {
  static override properties = { text: { attribute: false }, problem: { attribute: false } };
  declare text: string;
  declare problem: FieldProblem | undefined;
  #view: EditorView | undefined;

  constructor() {
    super();
    this.text = "";
    this.problem = undefined;
  }

  protected override createRenderRoot() {
    return this;
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.#view?.destroy();
    this.#view = undefined;
  }

  protected override render() {
    return html`<div class="editor"></div>`;
  }

  protected override updated(changed: PropertyValues<this>): void {
    this.#view ??= this.#open();
    const view = this.#view;
    if (view.state.doc.toString() !== this.text)
      view.dispatch({ changes: { from: 0, to: view.state.doc.length, insert: this.text } });
    if (changed.has("problem") || changed.has("text")) this.#underline(view);
  }

  #open(): EditorView {
    return new EditorView({
      parent: this.querySelector(".editor")!,
      state: EditorState.create({
        doc: this.text,
        extensions: [
          minimalSetup,
          lineNumbers(),
          EditorView.lineWrapping,
          lintGutter(),
          colours,
          EditorView.contentAttributes.of({
            "aria-label": "Vector field in WGSL",
            "aria-describedby": "field-problem",
          }),
          EditorView.updateListener.of((update) => {
            const text = update.state.doc.toString();
            if (update.docChanged && text !== this.text)
              this.dispatchEvent(new CustomEvent<string>("choose", { detail: text }));
          }),
        ],
      }),
    });
  }

  #underline(view: EditorView): void {
    const { doc } = view.state;
    const { message, place } = this.problem ?? {};
    const diagnostics = [];
    if (message !== undefined && place !== undefined && place.line <= doc.lines) {
      const line = doc.line(place.line);
      const from = Math.min(line.from + place.column - 1, line.to);
      // Something must be there to be underlined.
      const to = Math.min(Math.max(from + place.length, from + 1), line.to);
      const [first, last] = from < to ? [from, to] : [Math.max(line.from, from - 1), line.to];
      diagnostics.push({ from: first, to: last, severity: "error" as const, message });
    }
    view.dispatch(setDiagnostics(view.state, diagnostics));
  }
}

customElements.define("field-editor", FieldEditor);
