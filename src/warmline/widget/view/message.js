/** One entry of the transcript: a message with its cards, or a line such as "Maria joined". */

import { avatar, externalLink, h, icon, plain, safeUrl } from "./dom.js";
import { richText } from "./rich_text.js";

function attachmentCard(attachment, texts) {
  const url = safeUrl(attachment.url);
  const preview = safeUrl(attachment.preview) ?? (attachment.image ? url : null);
  const title = plain(attachment.title) || (attachment.image ? texts.get("image") : texts.get("attachment"));
  const picture = preview && h("img", { class: "preview", src: preview, alt: attachment.image ? title : "", loading: "lazy", referrerpolicy: "no-referrer" });
  picture?.addEventListener("error", () => picture.remove());
  const { progress } = attachment;
  const action = url ? plain(attachment.action) || texts.get("open_link")
    : progress >= 0 ? h("progress", { value: progress, "aria-label": title }) : texts.get("unsafe_link");
  const caption = h(
    "span",
    { class: "caption" },
    h("span", { class: "card-title", text: title }),
    h("span", { class: "card-action" }, action, url ? icon("link") : null),
  );
  if (!url) return h("div", { class: "card blocked" }, caption);
  return h(
    "a",
    { class: "card", href: url, ...externalLink },
    picture,
    caption,
    h("span", { class: "hidden-text", text: ` (${texts.get("opens_new_tab")})` }),
  );
}

function callButton({ title, number }, texts) {
  const dial = number.replace(/[^\d+*#]/g, "");
  return h("a", { class: "call", href: `tel:${dial}` }, icon("phone"), plain(title) || texts.get("call", { number }));
}

export function speakerName(item, texts, fallbackName) {
  if (item.name) return plain(item.name);
  if (item.author === "virtual") return fallbackName || texts.get("virtual_agent");
  return item.agentId ? texts.get("live_agent") : texts.get("support");
}

const STATE_ICONS = { sent: "check", delivered: "checks" };

function status(item, { state, retryable, texts, onRetry }) {
  const bad = state === "failed" || state === "undelivered";
  return h(
    "span",
    { class: `status ${state}` },
    h("span", { text: texts.get(state) }),
    STATE_ICONS[state] ? icon(STATE_ICONS[state]) : null,
    bad && retryable ? h("button", { class: "retry", type: "button", text: texts.get("retry"), on: { click: () => onRetry(item) } }) : null,
  );
}

/**
 * @param item a message of the view model
 * @param {{first: boolean, last: boolean, state: string | null, retryable: boolean, image: string, fallbackName: string, texts, onRetry}} context
 *   its place in its group, and the delivery state to show
 */
export function messageEntry(item, context) {
  const { texts } = context;
  const mine = item.author === "user";
  const name = mine ? texts.get("you") : speakerName(item, texts, context.fallbackName);
  const text = item.text.trim();
  const body = h("div", { class: "body" });
  if (context.first) body.append(h("span", { class: mine ? "hidden-text" : "name", text: mine ? `${name}: ` : name }));
  if (text) body.append(h("div", { class: "bubble", dir: "auto" }, ...(mine ? [item.text] : richText(item.text))));
  for (const attachment of item.attachments ?? []) body.append(attachmentCard(attachment, texts));
  for (const action of item.callActions ?? []) body.append(callButton(action, texts));
  if (context.last || (mine && context.state !== "sent" && context.state !== "delivered")) {
    const time = texts.time(item.at);
    body.append(
      h("span", { class: "meta" }, h("time", { text: time }), mine && context.state ? status(item, context) : null),
    );
  }
  const face = mine ? null : h("span", { class: "face" }, context.last ? avatar({ author: item.author, name: item.name, image: item.avatar || context.image }) : null);
  const place = `${context.first ? " first" : ""}${context.last ? " last" : ""}`;
  return h("li", { class: `message ${mine ? "mine" : "theirs"} ${item.author}${place}` }, face, body);
}

function queueText(queue, texts) {
  if (!queue) return "";
  if (queue.text) return plain(queue.text);
  const parts = [];
  if (queue.position === 1) parts.push(texts.get("queue_next"));
  else if (queue.position > 1) parts.push(texts.get("queue_position", { position: queue.position }));
  const wait = queue.waitSeconds;
  if (wait > 0 && wait < 60) parts.push(texts.get("wait_short"));
  else if (wait >= 60) parts.push(texts.get("wait_minutes", { minutes: Math.ceil(wait / 60) }));
  return parts.join(" · ");
}

export function lineText(item, texts) {
  if (item.code === "system") return plain(item.text);
  if (item.code === "joined" || item.code === "left") {
    return item.name ? texts.get(item.code, { name: plain(item.name) }) : texts.get(`${item.code}_unknown`);
  }
  if (item.code === "handoff_required" && item.route) return texts.get("handoff_required_route", { route: plain(item.route) });
  return texts.get(item.code);
}

/** @param {{texts, current: boolean, queue: object | null}} context `current`: what the line tells is still going on */
export function lineEntry(item, { texts, current, queue }) {
  const detail = current ? queueText(queue, texts) : "";
  return h(
    "li",
    { class: `line ${item.level ?? ""}${current ? " current" : ""}` },
    h("span", { class: "line-text" }, current ? h("span", { class: "pulse", "aria-hidden": "true" }) : null, lineText(item, texts)),
    detail ? h("span", { class: "line-detail", text: detail }) : null,
    item.code === "joined" || item.code === "left" ? h("time", { text: texts.time(item.at) }) : null,
  );
}

export function typingEntry(typing, { texts, image, fallbackName }) {
  const name = typing.author ? speakerName(typing, texts, fallbackName) : "";
  const label = name ? texts.get("typing", { name }) : texts.get("someone_typing");
  return h(
    "li",
    { class: `message theirs typing ${typing.author} first last` },
    h("span", { class: "face" }, avatar({ author: typing.author, name: typing.name, image: typing.avatar || image })),
    h("div", { class: "body" }, h("div", { class: "bubble dots" }, h("i"), h("i"), h("i"), h("span", { class: "hidden-text", text: label }))),
  );
}
