/** The panel's head: who is answering, the menu, and the way out. */

import { avatar, externalLink, h, icon, safeUrl } from "./dom.js";
import { speakerName } from "./message.js";

export class Header {
  #options;
  #face;
  #title;
  #subtitle;
  #menu;
  #menuButton;
  #endItem;
  #soundItem;
  #saveItem;
  #shownFace = "";

  /** @param {{texts, config, closable: boolean, sound: () => boolean, onClose, onEnd, onSave, onSound}} options */
  constructor(options) {
    this.#options = options;
    const { texts, config, closable, onClose, onEnd, onSave, onSound } = options;
    this.#face = h("span", { class: "head-face" });
    this.#title = h("h2", { class: "head-title", id: "title" });
    this.#subtitle = h("p", { class: "head-subtitle" });
    const item = (text, action) => h("button", { class: "menu-item", type: "button", text, on: { click: () => this.#choose(action) } });
    this.#endItem = item(texts.get("end"), onEnd);
    this.#soundItem = item("", onSound);
    this.#saveItem = item(texts.get("save"), onSave);
    const policies = ["privacy", "terms"]
      .map((name) => [name, safeUrl(config[`${name}_url`] ?? "")])
      .filter(([, url]) => url)
      .map(([name, href]) => h("a", { class: "menu-item", href, ...externalLink, text: texts.get(name), on: { click: () => this.closeMenu() } }));
    this.#menu = h("div", { class: "menu", id: "menu", hidden: true }, this.#saveItem, this.#soundItem, ...policies, this.#endItem);
    this.#menuButton = h(
      "button",
      { class: "head-button", type: "button", "aria-label": texts.get("menu"), "aria-expanded": "false", "aria-controls": "menu", on: { click: () => this.#toggleMenu() } },
      icon("menu"),
    );
    const close = h("button", { class: "head-button", type: "button", "aria-label": texts.get("close"), on: { click: onClose } }, icon("close"));
    this.element = h(
      "div",
      { class: "head" },
      this.#face,
      h("div", { class: "head-text" }, this.#title, this.#subtitle),
      this.#menuButton,
      closable ? close : null,
      this.#menu,
    );
  }

  render(state) {
    const { texts, config } = this.#options;
    const live = state.owner === "live";
    const speaker = live ? { author: "live", agentId: "?", ...state.liveAgent } : { author: "virtual", ...state.agent };
    const name = speakerName(speaker, texts, config.agent_name);
    const waiting = state.owner === "handoff" || state.owner === "queue";
    const role = live ? texts.get("live_agent") : texts.get("virtual_agent");
    const status = waiting ? texts.get(state.owner === "queue" ? "handoff_accepted" : "handoff_started") : role;
    this.#title.textContent = live ? name : config.header_text || name;
    this.#subtitle.textContent = state.ended ? texts.get("ended") : status === this.#title.textContent ? "" : status;
    const image = speaker.avatar || (live ? "" : config.agent_image_url);
    const face = JSON.stringify([speaker.author, name, image]);
    if (face !== this.#shownFace) {
      this.#shownFace = face;
      this.#face.replaceChildren(avatar({ author: speaker.author, name: speaker.name, image }));
    }
    this.#endItem.hidden = Boolean(state.ended) || state.connection === "idle";
    this.#saveItem.hidden = !state.items.length;
    this.#soundItem.textContent = texts.get(this.#options.sound() ? "sound_off" : "sound_on");
  }

  get menuIsOpen() {
    return !this.#menu.hidden;
  }

  closeMenu() {
    this.#menu.hidden = true;
    this.#menuButton.setAttribute("aria-expanded", "false");
  }

  /** Close the menu and give the focus back to its button. */
  leaveMenu() {
    this.closeMenu();
    this.#menuButton.focus();
  }

  #toggleMenu() {
    this.#menu.hidden = !this.#menu.hidden;
    this.#menuButton.setAttribute("aria-expanded", String(!this.#menu.hidden));
    if (!this.#menu.hidden) this.#menu.querySelector(".menu-item:not([hidden])")?.focus();
  }

  #choose(action) {
    this.closeMenu();
    action();
  }
}
