/** A customer's phone: shows what the carrier has for it, and sends texts over the control plane. */

const query = new URLSearchParams(location.search);
const at = (selector) => document.querySelector(selector);
const list = at(".texts"), form = at(".composer"), field = at(".text"), picker = at(".file");
const to = at(".number"), state = at(".state"), chosen = at(".chosen"), count = at(".count");
const phones = at(".phones");

let phone = query.get("phone") ?? "";
let shown = "";
let wait = 300;

function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

async function post(path, body) {
  const answer = await fetch(`/__sim/v1/phones/${encodeURIComponent(phone)}/${path}`, {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
  });
  if (!answer.ok) throw new Error((await answer.json()).message);
}

/** Words with their addresses as links; everything else stays text. */
function words(text) {
  const parts = document.createDocumentFragment();
  for (const part of text.split(/(https?:\/\/[^\s<>"]+)/)) {
    if (!/^https?:\/\//.test(part)) { parts.append(part); continue; }
    const link = element("a", "", part);
    Object.assign(link, { href: part, target: "_blank", rel: "noopener noreferrer" });
    parts.append(link);
  }
  return parts;
}

function bubble(message, before) {
  const lost = message.direction === "out" && message.errorCode !== null;
  const item = element("p", [message.direction, lost && "lost", before?.direction !== message.direction && "turn"].filter(Boolean).join(" "));
  for (const file of message.media) {
    const address = `/phone/media/${message.sid}/${file.sid}`;
    if (file.mimeType.startsWith("image/")) {
      const picture = element("img");
      Object.assign(picture, { src: address, alt: "Picture" });
      item.append(picture);
    } else {
      const link = element("a", "", "File");
      Object.assign(link, { href: address, target: "_blank" });
      item.append(link, " ");
    }
  }
  item.append(words(message.text));
  return item;
}

function about(message) {
  const time = new Date(message.at).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  const parts = message.segments > 1 ? ` · ${message.segments} parts` : "";
  const lost = message.errorCode === null ? "" : ` · did not arrive (${message.errorCode})`;
  const from = message.direction === "out" ? `${message.number} · ` : "";
  return element("p", `about ${message.direction}`, `${from}${time}${parts}${lost}`);
}

function showTexts(messages) {
  const key = JSON.stringify(messages);
  if (key === shown) return;
  const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 60;
  shown = key;
  const items = messages.flatMap((message, index) => {
    const next = messages[index + 1];
    const last = !next || next.direction !== message.direction || next.at - message.at > 60000;
    return last ? [bubble(message, messages[index - 1]), about(message)] : [bubble(message, messages[index - 1])];
  });
  list.replaceChildren(...items);
  if (atEnd) list.scrollTop = list.scrollHeight;
}

function showPhones(all) {
  phones.replaceChildren(...all.map(({ number, name }) => {
    const link = element("a", "", name || number);
    link.href = `?phone=${encodeURIComponent(number)}`;
    if (name) link.append(element("span", "", number));
    if (number === phone) link.setAttribute("aria-current", "page");
    return link;
  }));
}

function show(update) {
  phone = update.phone;
  at(".offline").hidden = true;
  showPhones(update.phones);
  if (to.options.length !== update.numbers.length) to.replaceChildren(...update.numbers.map((number) => new Option(number)));
  state.value = update.phones.find(({ number }) => number === phone)?.state ?? "on";
  showTexts(update.messages);
}

function connect() {
  const url = new URL(`ws?phone=${encodeURIComponent(phone)}`, location.href);
  url.protocol = url.protocol.replace("http", "ws");
  const socket = new WebSocket(url);
  socket.addEventListener("open", () => { wait = 300; });
  socket.addEventListener("message", ({ data }) => show(JSON.parse(data)));
  socket.addEventListener("close", () => {
    at(".offline").hidden = false;
    setTimeout(connect, wait);
    wait = Math.min(wait * 2, 5000);
  });
}

async function files() {
  return Promise.all([...picker.files].map(async (file) => {
    const bytes = new Uint8Array(await file.arrayBuffer());
    let binary = "";
    for (let start = 0; start < bytes.length; start += 32768) binary += String.fromCharCode(...bytes.subarray(start, start + 32768));
    return { mimeType: file.type || "application/octet-stream", contentBase64: btoa(binary) };
  }));
}

function tell() {
  const file = picker.files[0];
  chosen.hidden = !file;
  chosen.textContent = file ? `Picture: ${file.name}` : "";
  const units = field.value.length;
  count.textContent = units > 140 ? `${units} characters` : "";
  form.querySelector(".send").disabled = !field.value.trim() && !file;
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const text = field.value.trim();
  if (!text && !picker.files.length) return;
  try {
    await post("text", { to: to.value, text, media: await files() });
    form.reset();
    list.scrollTop = list.scrollHeight;
  } catch (problem) {
    count.textContent = problem.message;
    return;
  }
  tell();
  field.focus();
});
field.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  form.requestSubmit();
});
form.addEventListener("input", tell);
state.addEventListener("change", () => post("state", { state: state.value }));
at(".words").addEventListener("click", ({ target }) => {
  if (target.dataset.word) post("text", { to: to.value, text: target.dataset.word, media: [] });
});

tell();
connect();
