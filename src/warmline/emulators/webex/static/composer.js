// The composer: the words and files of each conversation until they are sent, and why they could not be.

import { $, fileSize, h, refresh } from "./dom.js";

const drafts = JSON.parse(sessionStorage.getItem("drafts") ?? "{}");
/** Files chosen but not sent, by conversation. Unlike words they do not survive a reload. */
const staged = new Map();
const outbox = [];
let taskId = "";
let policy = null;

const files = () => staged.get(taskId) ?? [];

/** Show what was being written in a conversation; "" when none is open. */
export function takeUp(conversationId) {
  if (conversationId === taskId) return;
  keep();
  taskId = conversationId;
  $("text").value = drafts[taskId] ?? "";
  refuse("");
  drawStaged();
  fit();
}

/** Take over the policy that the agent's desktop knows. */
export function useRules(rules) {
  policy = rules;
  $("attach").hidden = !policy.attachmentsAllowed;
  count();
}

/** Call `send(taskId, body)` for every message; it throws an Error whose message can be shown. */
export function listen(send) {
  $("composer").addEventListener("submit", (event) => {
    event.preventDefault();
    submit(send);
  });
  $("text").addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    submit(send);
  });
  $("text").addEventListener("input", () => {
    refuse("");
    fit();
    keep();
  });
  $("file").addEventListener("change", () => {
    stage($("file").files);
    $("file").value = "";
  });
  $("text").addEventListener("paste", (event) => {
    if (!event.clipboardData.files.length) return;
    event.preventDefault();
    stage(event.clipboardData.files);
  });
  const chat = $("chat");
  const carriesFiles = (event) => taskId && !$("composer").hidden && event.dataTransfer.types.includes("Files");
  chat.addEventListener("dragover", (event) => {
    if (!carriesFiles(event)) return;
    event.preventDefault();
    chat.classList.add("takes-files");
  });
  chat.addEventListener("dragleave", (event) => {
    if (!chat.contains(event.relatedTarget)) chat.classList.remove("takes-files");
  });
  chat.addEventListener("drop", (event) => {
    chat.classList.remove("takes-files");
    if (!carriesFiles(event)) return;
    event.preventDefault();
    stage(event.dataTransfer.files);
  });
}

function submit(send) {
  const [text, chosen] = [$("text").value.trim(), files()];
  if (!text && !chosen.length) return;
  outbox.push({ from: taskId, text, chosen });
  put(taskId, "", []);
  refuse("");
  if (outbox.length === 1) drain(send);
}

/** Send one message after the other, so that none overtakes another. */
async function drain(send) {
  while (outbox.length) {
    const { from, text, chosen } = outbox[0];
    try {
      const attachments = await Promise.all(chosen.map(encoded));
      await send(from, attachments.length ? { text, attachments } : { text });
      outbox.shift();
    } catch (error) {
      takeBack(from, error.message);
    }
  }
}

/** Give the agent back what was not sent in a conversation, before what was written meanwhile. */
function takeBack(from, why) {
  const unsent = outbox.filter((message) => message.from === from);
  outbox.splice(0, outbox.length, ...outbox.filter((message) => message.from !== from));
  const later = from === taskId ? $("text").value : (drafts[from] ?? "");
  const text = [...unsent.map((message) => message.text), later].filter(Boolean).join("\n");
  put(from, text, [...unsent.flatMap((message) => message.chosen), ...(staged.get(from) ?? [])]);
  if (from === taskId) refuse(why);
}

/** Set what is being written in a conversation, which may not be the open one any more. */
function put(conversationId, text, chosen) {
  drafts[conversationId] = text;
  staged.set(conversationId, chosen);
  if (conversationId === taskId) {
    $("text").value = text;
    drawStaged();
    fit();
  }
  keep();
}

function keep() {
  if (taskId) drafts[taskId] = $("text").value;
  const written = Object.entries(drafts).filter(([, text]) => text);
  sessionStorage.setItem("drafts", JSON.stringify(Object.fromEntries(written)));
}

/** Say why something was not sent; "" takes it back. */
function refuse(text) {
  $("refused").textContent = text;
  $("refused").hidden = !text;
}

function stage(list) {
  const chosen = [...list];
  const large = chosen.find((file) => file.size > policy.maxSingleBytes);
  const empty = chosen.find((file) => !file.size);
  refuse(
    large
      ? `${large.name} is too large: a file may have ${fileSize(policy.maxSingleBytes)}.`
      : empty
        ? `${empty.name} is empty.`
        : "",
  );
  staged.set(taskId, [...files(), ...chosen.filter((file) => file.size && file.size <= policy.maxSingleBytes)]);
  drawStaged();
  $("text").focus();
}

function drawStaged() {
  refresh(
    $("staged"),
    files().map((file) =>
      h(
        "li",
        {},
        h("span", { class: "staged-name" }, file.name),
        h("span", { class: "staged-size" }, fileSize(file.size)),
        h("button", { type: "button", class: "staged-remove", "aria-label": `Remove ${file.name}`, onclick: () => unstage(file) }, "×"),
      ),
    ),
  );
}

function unstage(file) {
  staged.set(taskId, files().filter((item) => item !== file));
  refuse("");
  drawStaged();
  $("text").focus();
}

async function encoded(file) {
  const bytes = new Uint8Array(await file.arrayBuffer());
  let binary = "";
  for (let at = 0; at < bytes.length; at += 32768) binary += String.fromCharCode(...bytes.subarray(at, at + 32768));
  return { fileName: file.name, mimeType: file.type || "application/octet-stream", contentBase64: btoa(binary) };
}

/** Let the text field grow with its text, up to the limit that the style sheet sets. */
function fit() {
  const field = $("text");
  for (field.rows = 1; field.rows < 6 && field.scrollHeight > field.clientHeight + 1; field.rows += 1);
  count();
}

/** Tell how much room is left once it becomes little; the policy counts code points. */
function count() {
  const left = (policy?.maxChars ?? Infinity) - [...$("text").value].length;
  const isShown = left < (policy?.maxChars ?? 0) / 5 || left < 0;
  $("counter").textContent = isShown ? (left < 0 ? `${-left} characters too many` : `${left} characters left`) : "";
  $("counter").classList.toggle("over", left < 0);
}
