/** Wires the demo page: embeds the widget as a website would, and puts phone and agent desktop beside the page. */

const wide = matchMedia("(min-width: 1120px)");
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

/** What stands beside the page runs in its frame only while it is seen, so that it does not ring twice. */
function standBeside(name, url) {
  const frame = document.querySelector(`.${name}-frame`);
  const toggle = document.querySelector(`.${name}-toggle`);
  const place = () => {
    const shown = wide.matches && toggle.getAttribute("aria-pressed") === "true";
    document.body.classList.toggle(`has-${name}`, shown);
    if (shown && frame.src !== url) frame.src = url;
    if (!shown) frame.removeAttribute("src");
  };
  toggle.hidden = false;
  toggle.addEventListener("click", () => {
    toggle.setAttribute("aria-pressed", String(toggle.getAttribute("aria-pressed") !== "true"));
    place();
  });
  wide.addEventListener("change", place);
  place();
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
  standBeside("desk", demo.desktopUrl);
  if (demo.smsUrl) standBeside("handset", new URL(demo.smsUrl, location.href).href);
} catch {
  tell("The demo's addresses could not be loaded. Is Warmline still running?");
}
