/** What stands below the transcript: the composer, or what has to be decided first. */

import { Composer } from "./composer.js";
import { externalLink, h, safeUrl } from "./dom.js";

/** The disclaimer with its placeholders and inline links as links, https only (messaging-protocol.md §15.4). */
function disclaimerText(config, texts) {
  const pattern = /\{\{(privacyPolicyUrl|termsUrl)\}\}|\[([^\]]+)\]\((https:[^\s)]+)\)/g;
  const nodes = [];
  let end = 0;
  for (const match of config.disclaimer.matchAll(pattern)) {
    const [whole, placeholder, label, target] = match;
    const kind = placeholder === "termsUrl" ? "terms" : "privacy";
    const href = safeUrl(placeholder ? config[`${kind}_url`] ?? "" : target, ["https:"]);
    const words = placeholder ? texts.get(kind) : label;
    nodes.push(config.disclaimer.slice(end, match.index), href ? h("a", { href, ...externalLink, text: words }) : words);
    end = match.index + whole.length;
  }
  return h("p", { class: "disclaimer" }, ...nodes, config.disclaimer.slice(end));
}

export class Footer {
  #options;
  #shown = null;
  #disclaimer;

  /** @param {{texts, config, client, onConsent, onRestart}} options */
  constructor(options) {
    this.#options = options;
    const { texts, config, client } = options;
    this.composer = new Composer({ texts, onSend: (text) => client.send(text), onFile: (file) => client.sendFile(file), onTyping: () => client.typing() });
    this.#disclaimer = config.disclaimer ? disclaimerText(config, texts) : null;
    this.element = h("div", { class: "foot" });
  }

  /** @param {{consentNeeded: boolean, confirmingEnd: boolean, onCancelEnd, onEnd}} question what the panel asks */
  render(state, question) {
    const mode = question.consentNeeded ? "consent" : state.ended ? "ended" : question.confirmingEnd ? "confirm" : "compose";
    this.composer.maxBytes = state.capabilities.maxMessageBytes;
    this.composer.files = state.files;
    if (this.#disclaimer) {
      const wrote = state.pending.length > 0 || state.items.some((item) => item.author === "user");
      this.#disclaimer.hidden = mode === "compose" && wrote && !this.#options.config.disclaimer_always;
    }
    if (mode === this.#shown) return;
    const hadFocus = this.element.contains(this.element.getRootNode().activeElement);
    const first = this.#shown === null;
    this.#shown = mode;
    this.element.replaceChildren(...this.#content(mode, question).filter(Boolean));
    if (!first && (hadFocus || mode === "confirm" || mode === "compose")) this.focus();
  }

  focus() {
    this.element.querySelector("textarea, button")?.focus({ preventScroll: true });
  }

  #content(mode, { onEnd, onCancelEnd }) {
    const { texts, onConsent, onRestart } = this.#options;
    const button = (kind, text, click) => h("button", { class: `action ${kind}`, type: "button", text, on: { click } });
    if (mode === "compose") return [this.composer.element, this.#disclaimer];
    if (mode === "consent") return [this.#disclaimer, button("primary", texts.get("consent"), onConsent)];
    if (mode === "ended") {
      return [h("p", { class: "question", text: texts.get("ended") }), button("primary", texts.get("new_conversation"), onRestart)];
    }
    return [
      h("p", { class: "question", text: texts.get("end_confirm") }),
      h("div", { class: "choices" }, button("primary", texts.get("end_yes"), onEnd), button("quiet", texts.get("cancel"), onCancelEnd)),
    ];
  }
}
