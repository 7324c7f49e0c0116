/** Where the customer writes: grows with the text, Enter sends, Shift+Enter begins a new line. */

import { h, icon } from "./dom.js";

export class Composer {
  #options;
  #send;
  #attach;
  #file;
  #problem;

  /** @param {{texts, onSend: (text: string) => void, onFile: (file: File) => void, onTyping: () => void}} options */
  constructor(options) {
    this.#options = options;
    const { texts } = options;
    this.maxBytes = Infinity;
    this.input = h("textarea", {
      class: "input",
      rows: "1",
      dir: "auto",
      placeholder: texts.get("placeholder"),
      "aria-label": texts.get("message_label"),
      "aria-describedby": "problem",
      enterkeyhint: "send",
      on: { input: () => this.#changed(), keydown: (event) => this.#key(event) },
    });
    this.#send = h("button", { class: "send", type: "submit", "aria-label": texts.get("send"), disabled: true }, icon("send"));
    this.#file = h("input", { type: "file", hidden: true, on: { change: () => this.#chosen() } });
    this.#attach = h("button", { class: "send attach", type: "button", "aria-label": texts.get("attach"), hidden: true, on: { click: () => this.#file.click() } }, icon("attach"));
    this.#problem = h("p", { class: "problem", id: "problem", role: "alert" });
    this.element = h(
      "form",
      { class: "composer", on: { submit: (event) => this.#submit(event) } },
      this.#problem,
      h("div", { class: "field" }, this.input, this.#attach, this.#file, this.#send),
    );
  }

  /** @returns {string} what was written and not sent yet */
  get draft() {
    return this.input.value;
  }

  set draft(text) {
    this.input.value = text;
    this.#fit();
  }

  /** @param {{types: string[], maxBytes: number} | null} rules for files; null while none can be sent */
  set files(rules) {
    this.#attach.hidden = !rules;
    this.#file.accept = rules?.types.join() ?? "";
    this.#file.maxBytes = rules?.maxBytes;
  }

  #chosen() {
    const [file] = this.#file.files;
    this.#file.value = "";
    this.#fit();
    if (file?.size > this.#file.maxBytes) this.#problem.textContent = this.#options.texts.get("file_too_large");
    else if (file) this.#options.onFile(file);
  }

  #key(event) {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) this.#submit(event);
  }

  #changed() {
    this.#fit();
    if (this.draft.trim()) this.#options.onTyping();
  }

  #fit() {
    const text = this.draft.trim();
    const tooLong = this.maxBytes > 0 && text.length * 3 > this.maxBytes && new TextEncoder().encode(text).length > this.maxBytes;
    this.#problem.textContent = tooLong ? this.#options.texts.get("too_long") : "";
    this.#send.disabled = !text || tooLong;
    this.input.style.height = "auto";
    this.input.style.height = `${this.input.scrollHeight}px`;
  }

  #submit(event) {
    event.preventDefault();
    if (this.#send.disabled) return;
    const text = this.draft;
    this.draft = "";
    this.#options.onSend(text);
  }
}
