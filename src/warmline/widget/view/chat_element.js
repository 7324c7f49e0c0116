/** `<warmline-chat>`: launcher, prompt bubble and panel in a shadow root, and what `window.WebchatAPI` can ask of them. */

import { loadTexts } from "../i18n/index.js";
import { h, icon } from "./dom.js";
import { Panel } from "./panel.js";
import { STYLES } from "./styles.js";

const ANIMATIONS = {
  bounce: [{ transform: "translateY(0)" }, { transform: "translateY(-10px)" }, { transform: "translateY(0)" }],
  grow: [{ transform: "scale(1)" }, { transform: "scale(1.15)" }, { transform: "scale(1)" }],
  pulse: [{ boxShadow: "0 0 0 0 var(--warmline-color)" }, { boxShadow: "0 0 0 14px transparent" }],
};

/** What stands before the page's title while something is unread. */
const UNREAD = /^\(\d\+?\) /;

const HEARD = new Set(["POLY_AGENT_MESSAGE", "LIVE_AGENT_MESSAGE"]);

export class ChatElement extends HTMLElement {
  #options;
  #launcher;
  #badge;
  #panel;
  #bubble = null;
  #unread = 0;
  #drawing = false;
  #loadingLanguage = null;

  /** @param {{client, storage, texts, config, assets, options, extras, emit}} options what the page gave, and the running parts */
  mount(options) {
    this.#options = options;
    const { client, storage, config } = options;
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(STYLES);
    this.shadowRoot.adoptedStyleSheets.push(sheet);
    this.#launcher = this.shadowRoot.querySelector(".launcher");
    this.#badge = h("span", { class: "badge", hidden: true });
    this.#launcher.append(icon("fold"), this.#badge);
    this.#build();
    client.subscribe((state, liveEvents) => this.#changed(state, liveEvents));
    document.addEventListener("visibilitychange", this.#seen);
    if (options.options.autoOpen || options.options.fullscreen || (storage.get("open") && client.resumable)) this.#show(false);
    else if (client.resumable) client.start();
    if (config.bubble_text && !this.isOpen && !client.resumable) {
      this.showBubble({ text: config.bubble_text, backgroundColor: config.bubble_color, color: config.bubble_ink });
    }
  }

  get isOpen() {
    return !this.#panel.element.hidden;
  }

  toggle() {
    if (this.isOpen) this.close();
    else this.open();
  }

  open() {
    if (!this.isOpen) this.#show(true);
  }

  close() {
    if (!this.isOpen || this.#options.options.fullscreen) return;
    this.#panel.element.hidden = true;
    this.classList.remove("open");
    this.#launcher.setAttribute("aria-expanded", "false");
    this.#options.storage.set({ open: false });
    this.#launcher.focus();
    this.#options.emit("closed");
  }

  endSession() {
    if (this.#options.client.started && !this.#options.client.state.ended) this.#options.client.end();
  }

  refreshContext() {
    this.#options.client.refreshContext();
  }

  showIcon() {
    this.#launcher.hidden = false;
  }

  hideIcon() {
    this.#launcher.hidden = true;
    this.#hideBubble();
  }

  /** @param {{type?: "bounce" | "grow" | "pulse", durationMs?: number}} [options] */
  animateIcon({ type = "bounce", durationMs = 800 } = {}) {
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) return;
    this.#launcher.animate(ANIMATIONS[type] ?? ANIMATIONS.bounce, { duration: durationMs, easing: "ease-in-out" });
  }

  /** @param {{text?: string, backgroundColor?: string, color?: string, durationMs?: number}} [options] stays without a duration */
  showBubble({ text = "", backgroundColor = "", color = "", durationMs = 0 } = {}) {
    this.#hideBubble();
    if (!text || this.isOpen || this.#launcher.hidden) return;
    const { texts } = this.#options;
    const bubble = h(
      "div",
      { class: "prompt" },
      h("button", { class: "prompt-text", type: "button", text, on: { click: () => this.open() } }),
      h("button", { class: "prompt-close", type: "button", "aria-label": texts.get("dismiss"), on: { click: () => this.#hideBubble() } }, icon("close")),
    );
    bubble.style.background = backgroundColor;
    bubble.style.color = color;
    this.#bubble = bubble;
    this.shadowRoot.append(bubble);
    if (durationMs > 0) setTimeout(() => bubble.remove(), durationMs);
  }

  destroy() {
    document.removeEventListener("visibilitychange", this.#seen);
    document.title = document.title.replace(UNREAD, "");
    this.#options.client.destroy();
  }

  get #consentNeeded() {
    const { config, storage } = this.#options;
    return Boolean(config.disclaimer && config.disclaimer_consent && !storage.get("consented"));
  }

  #build() {
    const { client, config, options, texts, storage, extras } = this.#options;
    const previous = this.#panel;
    this.#panel = new Panel({
      client,
      texts,
      config,
      fullscreen: options.fullscreen,
      showHeader: options.showHeader,
      consentNeeded: () => this.#consentNeeded,
      onConsent: () => {
        storage.set({ consented: true });
        client.start();
        this.#panel.render(client.state);
        this.#panel.focus();
      },
      onClose: () => this.close(),
      extras,
      sound: () => Boolean(storage.get("sound")),
      onSound: () => {
        storage.set({ sound: !storage.get("sound") });
        if (storage.get("sound")) this.#chime();
        this.#panel.render(client.state);
      },
    });
    this.#labelLauncher();
    if (previous) {
      this.#panel.draft = previous.draft;
      this.#panel.element.hidden = previous.element.hidden;
      previous.element.replaceWith(this.#panel.element);
    } else {
      this.shadowRoot.prepend(this.#panel.element);
    }
  }

  #show(focus) {
    const { client, storage, emit } = this.#options;
    this.#hideBubble();
    this.#unread = 0;
    this.#labelLauncher();
    this.#panel.element.hidden = false;
    this.classList.add("open");
    this.#launcher.setAttribute("aria-expanded", "true");
    storage.set({ open: true });
    if (!this.#consentNeeded) client.start();
    this.#panel.render(client.state);
    this.#panel.toEnd();
    if (focus) this.#panel.focus();
    emit("open");
  }

  #changed(state, liveEvents) {
    const heard = liveEvents.filter(({ type, payload }) => HEARD.has(type) || payload.is_complete).length;
    const away = document.hidden || !this.isOpen;
    if (heard && away) {
      this.#unread += heard;
      this.#labelLauncher();
    }
    if (heard && (away || !document.hasFocus()) && this.#options.storage.get("sound")) this.#chime();
    if (state.language && state.language !== this.#loadingLanguage) this.#switchLanguage(state.language);
    if (this.#drawing) return;
    this.#drawing = true;
    queueMicrotask(() => {
      this.#drawing = false;
      this.#panel.render(this.#options.client.state);
    });
  }

  async #switchLanguage(language) {
    this.#loadingLanguage = language;
    const { assets, config } = this.#options;
    const texts = await loadTexts(assets, config.languages, [language], config.texts);
    if (texts.language === this.#options.texts.language) return;
    this.#options = { ...this.#options, texts };
    this.#build();
    this.#panel.render(this.#options.client.state);
  }

  #labelLauncher() {
    const { texts } = this.#options;
    const label = this.#unread ? texts.get("open_unread", { count: this.#unread }) : texts.get("open");
    this.#launcher.setAttribute("aria-label", label);
    this.#badge.hidden = !this.#unread;
    const count = this.#unread > 9 ? "9+" : String(this.#unread);
    this.#badge.textContent = count;
    document.title = (this.#unread ? `(${count}) ` : "") + document.title.replace(UNREAD, "");
  }

  /** The page is looked at again: what came meanwhile is read where the chat is open. */
  #seen = () => {
    if (document.hidden || !this.isOpen) return;
    this.#unread = 0;
    this.#labelLauncher();
  };

  async #chime() {
    (await this.#options.extras()).chime();
  }

  #hideBubble() {
    this.#bubble?.remove();
    this.#bubble = null;
  }
}
