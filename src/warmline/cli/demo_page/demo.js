/** Wires the demo page: embeds the widget as a website would, and puts the agent desktop beside the page. */

const wide = matchMedia("(min-width: 1120px)");
const frame = document.querySelector(".desk-frame");
const toggle = document.querySelector(".desk-toggle");
const status = document.querySelector(".guide-status");

function embedWidget(connectorToken) {
  const script = document.createElement("script");
  script.src = `/widget/${encodeURIComponent(connectorToken)}.js`;
  script.addEventListener("error", () => tell("The chat widget could not be loaded. Is Warmline still running?"));
  document.body.append(script);
}

function tell(text) {
  status.textContent = text;
}

function setLink(selector, url) {
  for (const link of document.querySelectorAll(selector)) {
    link.hidden = !url;
    if (url) link.href = url;
  }
}

/** The desktop runs in the frame only while it is seen, so that it does not ring twice. */
function placeDesktop(url) {
  const shown = wide.matches && toggle.getAttribute("aria-pressed") === "true";
  document.body.classList.toggle("has-desk", shown);
  if (shown && frame.src !== url) frame.src = url;
  if (!shown) frame.removeAttribute("src");
}

function watchDesktop(url) {
  toggle.addEventListener("click", () => {
    toggle.setAttribute("aria-pressed", String(toggle.getAttribute("aria-pressed") !== "true"));
    placeDesktop(url);
  });
  wide.addEventListener("change", () => placeDesktop(url));
  placeDesktop(url);
}

const openChat = () => window.WebchatAPI?.openWidget();

for (const button of document.querySelectorAll(".ask")) button.addEventListener("click", openChat);

document.querySelector(".phrase").addEventListener("click", async ({ currentTarget }) => {
  openChat();
  try {
    await navigator.clipboard.writeText(currentTarget.textContent);
    tell("Copied. Paste it into the chat.");
  } catch {
    tell("Type it into the chat.");
  }
});

const guide = document.querySelector(".guide-details");
guide.open = sessionStorage.getItem("guide") !== "closed" && (wide.matches || sessionStorage.getItem("guide") === "open");
guide.addEventListener("toggle", () => sessionStorage.setItem("guide", guide.open ? "open" : "closed"));

try {
  const response = await fetch("/demo.json");
  const demo = await response.json();
  embedWidget(demo.connectorToken);
  setLink(".desktop-link", demo.desktopUrl);
  setLink(".studio-link", demo.studioUrl);
  setLink(".sms-link", demo.smsUrl);
  watchDesktop(demo.desktopUrl);
} catch {
  tell("The demo's addresses could not be loaded. Is Warmline still running?");
}
