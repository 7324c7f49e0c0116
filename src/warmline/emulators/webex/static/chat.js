// The open conversation: head, transcript, composer, wrap-up.

import { $, clockTime, dressFace, fileSize, h } from "./dom.js";
import { customerName } from "./state.js";

let shownId = "";
let shownCount = 0;
let staysAtEnd = true;
let knownHeight = 0;

/** Draw a conversation; the transcript only grows, so that scrolling and selections stay. */
export function drawChat(conversation) {
  $("nothing").hidden = Boolean(conversation);
  $("open").hidden = !conversation;
  if (!conversation) {
    shownId = "";
    return;
  }
  const name = customerName(conversation);
  const isOver = conversation.slot === "wrapup";
  const isMine = conversation.slot === "connected";
  dressFace($("chat-face"), name);
  $("chat-name").textContent = name;
  $("chat-meta").textContent = `${conversation.queue ? `Queue ${conversation.queue} · ` : ""}${conversation.channel}`;
  $("transfer").hidden = $("end").hidden = !isMine;
  $("composer").hidden = !isMine && !conversation.inConference;
  $("wrapup").hidden = !isOver;
  $("ended").textContent = endedWords(conversation);
  drawTranscript(conversation);
}

function drawTranscript(conversation) {
  const log = $("transcript");
  const isNew = conversation.id !== shownId;
  if (isNew) {
    log.replaceChildren();
    shownId = conversation.id;
    shownCount = 0;
  }
  staysAtEnd ||= isNew;
  const messages = conversation.transcript;
  for (; shownCount < messages.length; shownCount += 1) log.append(bubble(conversation, shownCount));
  toEnd();
}

/** Keep the newest message in sight while somebody reads there, also when the space changes. */
function toEnd() {
  knownHeight = $("transcript").clientHeight;
  if (staysAtEnd) $("transcript").scrollTop = $("transcript").scrollHeight;
}

$("transcript").addEventListener("scroll", ({ target }) => {
  // Space that was just taken away is not somebody's scrolling: the observer below comes right after.
  if (target.clientHeight !== knownHeight) return;
  staysAtEnd = target.scrollHeight - target.scrollTop - target.clientHeight < 80;
});
new ResizeObserver(toEnd).observe($("transcript"));

const GROUP_MS = 120000;

function bubble(conversation, index) {
  const message = conversation.transcript[index];
  const before = conversation.transcript[index - 1];
  const isSame = before?.senderType === message.senderType && before.agentName === message.agentName;
  const follows = isSame && index > 1 && message.at - before.at < GROUP_MS;
  const isOpening = index === 0 && message.text.includes("\n");
  const who = { customer: customerName(conversation), agent: message.agentName, system: "Flow" }[message.senderType];
  return h(
    "article",
    { class: `bubble ${message.senderType}${isOpening ? " opening" : ""}${follows ? " follows" : ""}` },
    h(
      "p",
      { class: follows ? "unseen" : "bubble-head" },
      h("strong", {}, isOpening ? `Opening message from ${who}` : who),
      h("time", { datetime: new Date(message.at).toISOString() }, clockTime(message.at)),
    ),
    message.text ? h("p", { class: "bubble-text" }, message.text) : null,
    message.attachments.map(attachment),
  );
}

function attachment(file) {
  const url = new URL(file.url, location.href);
  const local = url.pathname + url.search;
  const isImage = /^image\/(png|jpeg|gif|webp)$/.test(file.mimeType);
  return h(
    "a",
    { class: "file", href: local, target: "_blank", rel: "noopener" },
    isImage ? h("img", { src: local, alt: "", loading: "lazy" }) : h("span", { class: "file-mark", "aria-hidden": "true" }),
    h("span", { class: "file-text" }, h("strong", {}, file.fileName), h("span", {}, fileSize(file.size))),
  );
}

function endedWords(conversation) {
  const by = { Agent: "You ended this conversation.", Customer: `${customerName(conversation)} ended this conversation.` };
  return by[conversation.terminatingParty] ?? "This conversation has ended.";
}

let problemTimer = 0;

/** Show for some seconds why something did not work; "" hides it. */
export function showProblem(text) {
  clearTimeout(problemTimer);
  $("problem").textContent = text;
  $("problem").hidden = !text;
  if (text) problemTimer = setTimeout(() => showProblem(""), 8000);
}
