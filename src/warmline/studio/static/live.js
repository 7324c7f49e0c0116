// Parts that follow what happens: the server tells over one stream that something changed, and the parts are fetched.
// Without the stream they are fetched now and then, and the page says so.
const DEAD_MS = 40_000; // Longer than any silence of the server.
const POLL_MS = 10_000;
const AGAIN_MS = 5_000;
const GRACE_MS = 4_000; // A stream that comes back this soon was not missed.
const parts = [...document.querySelectorAll("[data-live]")];
const sign = document.getElementById("live");
let stream = null;
let heard = Date.now();
let looked = heard;
let tried = 0;
let lost = 0; // Since when the stream is not there; 0: it is.

const look = () => {
  looked = Date.now();
  parts.forEach((part) => htmx.trigger(part, "live"));
};
const say = (text) => sign.textContent === text || (sign.textContent = text);
const close = () => {
  stream?.close();
  stream = null;
};
const hear = () => {
  heard = Date.now();
  lost = 0;
  say("");
  look();
};
const open = () => {
  close();
  tried = heard = Date.now();
  stream = new EventSource(parts[0].dataset.live);
  stream.addEventListener("open", hear);
  stream.addEventListener("changed", hear);
  stream.addEventListener("error", () => {
    lost ||= Date.now();
    // Refused, maybe because nobody is signed in any more: then the parts lead to the door.
    if (stream?.readyState === EventSource.CLOSED && Date.now() - looked > 1000) look();
  });
};
const keep = () => {
  if (document.hidden) return;
  const now = Date.now();
  const dead = now - heard > DEAD_MS;
  if (stream?.readyState === EventSource.OPEN && !dead) return;
  lost ||= now;
  if (now - lost > GRACE_MS) say(sign.dataset.off);
  if (now - looked > POLL_MS) look();
  const over = !stream || stream.readyState === EventSource.CLOSED || dead;
  if (over && now - tried > AGAIN_MS) open();
};

// What a reader does with a part stays as it is: what is selected, where the focus is, what is unfolded and scrolled.
const last = new WeakMap();
const kept = new WeakMap();
const late = new Set();
const key = (element) =>
  ["href", "id", "aria-label"].map((name) => element.getAttribute(name)).find(Boolean) ??
  (element.matches("summary") ? element.parentElement.id : element.textContent);
const reachable = (part) => [...part.querySelectorAll("a[href], button, summary, input, select, textarea, [tabindex]")];
const inUse = (part) => {
  const selection = getSelection();
  return (!selection.isCollapsed && part.contains(selection.anchorNode)) || part.querySelector("input:focus, select:focus");
};
document.body.addEventListener("htmx:beforeSwap", (event) => {
  const { target: part, xhr } = event.detail;
  if (!parts.includes(part)) return;
  if (last.get(part) === xhr.responseText) {
    event.detail.shouldSwap = false;
  } else if (inUse(part)) {
    event.detail.shouldSwap = false;
    late.add(part);
  } else {
    last.set(part, xhr.responseText);
    const focused = part.contains(document.activeElement) && key(document.activeElement);
    const unfolded = [...part.querySelectorAll("details[id][open]")].map((one) => one.id);
    const scrolled = [...part.querySelectorAll(".scroll")].map((one) => [one.scrollLeft, one.scrollTop]);
    kept.set(part, { focused, unfolded, scrolled });
  }
});
document.body.addEventListener("htmx:afterSwap", (event) => {
  const part = event.detail.target;
  const { focused, unfolded, scrolled } = kept.get(part) ?? {};
  if (!unfolded) return;
  kept.delete(part);
  unfolded.forEach((id) => document.getElementById(id)?.setAttribute("open", ""));
  part.querySelectorAll(".scroll").forEach((one, index) => one.scrollTo(...(scrolled[index] ?? [0, 0])));
  if (focused) reachable(part).find((one) => key(one) === focused)?.focus({ preventScroll: true });
});
document.addEventListener("selectionchange", () => {
  for (const part of late) {
    if (inUse(part)) continue;
    late.delete(part);
    htmx.trigger(part, "live");
  }
});

if (parts.length) {
  // A page that nobody looks at holds no connection.
  document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
  addEventListener("pagehide", close);
  addEventListener("pageshow", (event) => event.persisted && open());
  // The browser knows that the network went or came: no need to wait for silence.
  addEventListener("offline", look);
  addEventListener("online", open);
  setInterval(keep, 2000);
  open();
}
