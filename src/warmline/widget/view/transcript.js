/** The list of what was said. Entries that did not change keep their nodes; it follows the end unless scrolled away. */

import { h, icon } from "./dom.js";
import { lineEntry, messageEntry, typingEntry } from "./message.js";

const NEAR_END_PX = 80;
const HANDOFF_LINES = new Set(["handoff_started", "handoff_accepted"]);
const GROUP_MS = 5 * 60_000;

const sameGroup = (a, b) =>
  a?.kind === "message" && b?.kind === "message" && a.author === b.author && a.name === b.name &&
  a.agentId === b.agentId && Math.abs((b.at ?? 0) - (a.at ?? 0)) < GROUP_MS;

export class Transcript {
  #context;
  #list;
  #latest;
  #follows = true;
  #entries = new Map();

  /** @param {{texts, image: string, fallbackName: string, onRetry, onSuggestion}} context */
  constructor(context) {
    this.#context = context;
    const { texts } = context;
    this.#list = h("ol", { class: "entries" });
    this.log = h("div", { class: "log", role: "log", "aria-live": "off", "aria-label": texts.get("conversation"), tabindex: "0" }, this.#list);
    this.#latest = h("button", { class: "latest", type: "button", "aria-label": texts.get("latest"), hidden: true, on: { click: () => this.toEnd() } }, icon("down"));
    this.log.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    // What stands below may grow, and a phone's keyboard may come: the end stays in sight.
    new ResizeObserver(() => this.#follows && this.toEnd()).observe(this.log);
    this.element = h("div", { class: "transcript" }, this.log, this.#latest);
  }

  toEnd() {
    this.log.scrollTop = this.log.scrollHeight;
  }

  render(state) {
    const follows = this.#nearEnd();
    const nodes = this.#nodes(state);
    for (const [index, node] of nodes.entries()) {
      if (this.#list.children[index] !== node) this.#list.insertBefore(node, this.#list.children[index] ?? null);
    }
    while (this.#list.children.length > nodes.length) this.#list.lastChild.remove();
    const sent = state.pending.at(-1)?.key;
    if (follows || (sent && sent !== this.lastSent)) this.toEnd();
    this.lastSent = sent ?? this.lastSent;
    this.#showLatest();
  }

  #nodes(state) {
    const items = [...state.items, ...state.pending];
    const waiting = state.owner === "handoff" || state.owner === "queue";
    const currentLine = waiting ? items.findLast((item) => HANDOFF_LINES.has(item.code)) : null;
    const lastMine = items.findLast((item) => item.author === "user");
    const kept = new Map();
    const nodes = items
      .filter((item) => item.kind === "line" || item.author === "user" || item.text.trim() || item.attachments.length || item.callActions.length)
      .map((item, index, shown) => {
        const before = shown[index - 1];
        const after = shown[index + 1];
        const context =
          item.kind === "line"
            ? { current: item === currentLine, queue: item === currentLine ? state.queue : null }
            : {
                first: !sameGroup(before, item),
                last: !sameGroup(item, after),
                state: this.#deliveryState(item, state, lastMine),
                retryable: !state.ended,
              };
        return this.#entry(item, context, kept);
      });
    this.#entries = kept;
    if (state.suggestions.length && !state.ended) nodes.push(this.#suggestions(state.suggestions, kept));
    const typing = state.typing ?? (this.#starting(state) ? { author: "virtual", name: "", avatar: "" } : null);
    if (typing && !state.ended) nodes.push(this.#entry({ key: "typing", kind: "typing", ...typing }, {}, kept));
    return nodes;
  }

  /** Until the greeting arrives the agent is on the way. */
  #starting(state) {
    return state.items.length === 0 && (state.connection === "connecting" || state.connection === "open");
  }

  #deliveryState(item, state, lastMine) {
    if (item.author !== "user") return null;
    if (item.state === "sending" && state.ended) return "failed";
    if (item.state === "sending" && state.connection !== "open") return "waiting";
    if ((item.state === "sent" || item.state === "delivered") && item !== lastMine) return null;
    return item.state;
  }

  #entry(item, context, kept) {
    const signature = JSON.stringify([item, context]);
    const known = this.#entries.get(item.key);
    let node = known?.node;
    if (known?.signature !== signature) {
      const full = { ...this.#context, ...context };
      const build = { line: lineEntry, message: messageEntry, typing: typingEntry }[item.kind];
      const fresh = build(item, full);
      fresh.classList.toggle("fresh", !known);
      if (known) known.node.replaceWith(fresh);
      node = fresh;
    }
    kept.set(item.key, { node, signature });
    return node;
  }

  #suggestions(suggestions, kept) {
    const signature = JSON.stringify(suggestions);
    const known = this.#entries.get("suggestions");
    const node =
      known?.signature === signature
        ? known.node
        : h("li", { class: "suggestions" }, h(
            "div",
            { role: "group", "aria-label": this.#context.texts.get("suggestions") },
            ...suggestions.map((text) =>
              h("button", { class: "suggestion", type: "button", text, on: { click: () => this.#context.onSuggestion(text) } }),
            ),
          ));
    kept.set("suggestions", { node, signature });
    return node;
  }

  #nearEnd() {
    return this.log.scrollHeight - this.log.scrollTop - this.log.clientHeight < NEAR_END_PX;
  }

  #scrolled() {
    this.#follows = this.#nearEnd();
    this.#showLatest();
  }

  #showLatest() {
    this.#latest.hidden = this.#nearEnd();
  }
}
