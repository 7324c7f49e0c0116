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
  #hasPolicies;
  #shownFace = "";

  /** @param {{texts, config, closable: boolean, onClose, onEnd}} options */
  constructor(options) {
    this.#options = options;
    const { texts, config, closable, onClose, onEnd } = options;
    this.#face = h("span", { class: "head-face" });
    this.#title = h("h2", { class: "head-title", id: "title" });
    this.#subtitle = h("p", { class: "head-subtitle" });
    this.#endItem = h("button", { class: "menu-item", type: "button", text: texts.get("end"), on: { click: () => this.#choose(onEnd) } });
    const policies = ["privacy", "terms"]
      .map((name) => [name, safeUrl(config[`${name}_url`] ?? "")])
      .filter(([, url]) => url)
      .map(([name, href]) => h("a", { class: "menu-item", href, ...externalLink, text: texts.get(name), on: { click: () => this.closeMenu() } }));
    this.#menu = h("div", { class: "menu", id: "menu", hidden: true }, this.#endItem, ...policies);
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
    this.#hasPolicies = policies.length > 0;
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
    this.#menuButton.hidden = this.#endItem.hidden && !this.#hasPolicies;
    if (this.#menuButton.hidden) this.closeMenu();
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
