/** The chat panel: head, what the connection is doing, transcript, and foot. Draws the view model; decides nothing. */

import { h } from "./dom.js";
import { Footer } from "./footer.js";
import { Header } from "./header.js";
import { lineText, speakerName } from "./message.js";
import { spokenText } from "./rich_text.js";
import { Transcript } from "./transcript.js";

const TROUBLE = new Set(["reconnecting", "offline", "lost"]);

export class Panel {
  #options;
  #header;
  #footer;
  #transcript;
  #banner;
  #speech;
  #spoken = null;
  #confirmingEnd = false;

  /**
   * @param {{client, texts, config, fullscreen: boolean, showHeader: boolean, consentNeeded: () => boolean, sound: () => boolean,
   *   extras, onConsent, onClose, onSound}} options
   */
  constructor(options) {
    this.#options = options;
    const { client, texts, config, fullscreen, onClose, onConsent } = options;
    this.#header = new Header({
      texts,
      config,
      closable: !fullscreen,
      sound: options.sound,
      onClose,
      onEnd: () => this.#askEnd(true),
      onSave: async () => this.#save(await options.extras()),
      onSound: options.onSound,
    });
    this.#transcript = new Transcript({
      texts,
      image: config.agent_image_url ?? "",
      fallbackName: config.agent_name ?? "",
      onRetry: (message) => client.retry(message),
      onSuggestion: (text) => {
        client.send(text);
        this.focus();
      },
    });
    this.#footer = new Footer({ texts, config, client, onConsent, onRestart: () => client.restart() });
    this.#banner = h("div", { class: "banner", role: "status", hidden: true });
    this.#speech = h("div", { class: "hidden-text", "aria-live": "polite" });
    const welcome = config.welcome_message ? h("p", { class: "welcome", text: config.welcome_message }) : null;
    if (welcome) this.#transcript.log.prepend(welcome);
    this.element = h(
      "section",
      { class: `panel${fullscreen ? " fullscreen" : ""}`, role: "dialog", "aria-label": texts.get("title"), lang: texts.language, dir: texts.direction, hidden: true },
      options.showHeader ? this.#header.element : null,
      this.#banner,
      this.#transcript.element,
      this.#footer.element,
      this.#speech,
    );
    this.element.addEventListener("keydown", (event) => this.#key(event));
  }

  get draft() {
    return this.#footer.composer.draft;
  }

  set draft(text) {
    this.#footer.composer.draft = text;
  }

  focus() {
    this.#footer.focus();
  }

  toEnd() {
    this.#transcript.toEnd();
  }

  render(state) {
    if (state.ended || state.ending) this.#confirmingEnd = false;
    this.#header.render(state);
    this.#showConnection(state);
    this.#transcript.render(state);
    this.#footer.render(state, {
      consentNeeded: this.#options.consentNeeded(),
      confirmingEnd: this.#confirmingEnd,
      onEnd: () => this.#options.client.end(),
      onCancelEnd: () => this.#askEnd(false),
    });
    this.#speak(state);
  }

  #save({ saveTranscript }) {
    const { client, texts, config } = this.#options;
    saveTranscript(client.state.items, {
      texts,
      lineText: (item) => lineText(item, texts),
      speakerName: (item) => speakerName(item, texts, config.agent_name),
    });
  }

  #askEnd(asking) {
    this.#confirmingEnd = asking;
    this.render(this.#options.client.state);
  }

  #showConnection(state) {
    const { texts, client } = this.#options;
    const trouble = TROUBLE.has(state.connection) && !state.ended;
    const text = trouble ? texts.get(state.connection) : state.ending && !state.ended ? texts.get("ending") : "";
    this.#banner.hidden = !text;
    if (text === this.#banner.dataset.text) return;
    this.#banner.dataset.text = text;
    this.#banner.className = `banner ${state.connection}`;
    this.#banner.replaceChildren(h("span", { text }));
    if (state.connection === "lost" && text) {
      this.#banner.append(h("button", { type: "button", class: "retry", text: texts.get("retry"), on: { click: () => client.reconnect() } }));
    }
  }

  /** Says what others wrote, once it is complete; what was there when the view first had content stays silent. */
  #speak(state) {
    const { texts, config } = this.#options;
    const heard = state.items.filter((item) => item.author !== "user" && item.key !== state.streaming);
    const keys = new Set(heard.map((item) => item.key));
    const fresh = this.#spoken ? heard.filter((item) => !this.#spoken.has(item.key)) : [];
    if (this.#spoken || state.connection === "open") this.#spoken = keys;
    if (!fresh.length) return;
    const sentences = fresh.map((item) =>
      item.kind === "line" ? lineText(item, texts) : `${speakerName(item, texts, config.agent_name)}: ${spokenText(item.text)}`,
    );
    this.#speech.replaceChildren(...sentences.map((text) => h("p", { text })));
  }

  #key(event) {
    if (event.key === "Escape") {
      event.stopPropagation();
      if (this.#header.menuIsOpen) this.#header.leaveMenu();
      else if (this.#confirmingEnd) this.#askEnd(false);
      else this.#options.onClose();
    } else if (event.key === "Tab" && this.#coversPage()) this.#keepFocus(event);
  }

  #coversPage() {
    return this.element.getBoundingClientRect().width >= innerWidth;
  }

  /** On a phone the panel covers the page, so the focus must not wander behind it. */
  #keepFocus(event) {
    const stops = [...this.element.querySelectorAll("a[href], button:not([disabled]), textarea, [tabindex='0']")].filter(
      (stop) => stop.checkVisibility(),
    );
    const edge = event.shiftKey ? stops[0] : stops.at(-1);
    if (this.element.getRootNode().activeElement !== edge) return;
    event.preventDefault();
    (event.shiftKey ? stops.at(-1) : stops[0]).focus();
  }
}
