/**
 * The script a page embeds: defines `window.WebchatAPI` at once, paints the launcher, and loads the widget's modules
 * (messaging-protocol.md §15.1 to §15.3). The server puts this widget's configuration in place of the marker.
 */
(() => {
  const config = "__WARMLINE_CONFIG__";
  if (window.WebchatAPI && !window.WebchatAPI.destroyed) return;

  const script = document.currentScript ?? document.querySelector(`script[src*="/widget/${config.token}.js"]`);
  const base = new URL(script.dataset.base ?? script.src, location.href).href.split("/widget/")[0];
  const option = (name, allowed) => (allowed.includes(script.dataset[name]) ? script.dataset[name] : allowed[0]);
  const platform = option("platform", ["web", "ios", "android"]);
  const options = {
    platform,
    fullscreen: platform === "ios" || option("renderMode", ["default", "fullscreen"]) === "fullscreen",
    autoOpen: option("autoOpen", ["false", "true"]) === "true",
    showIcon: option("showIcon", ["true", "false"]) === "true",
    showHeader: platform !== "ios" && option("showHeader", ["true", "false"]) === "true",
  };

  const listeners = new Map();
  const waiting = [];
  let root = null;
  let chat = null;

  const emit = (event, payload) => {
    for (const callback of [...(listeners.get(event) ?? [])]) callback(payload);
  };
  const register = (event) => (callback) => {
    if (typeof callback !== "function") return;
    if (!listeners.has(event)) listeners.set(event, new Set());
    listeners.get(event).add(callback);
  };
  const later = (method) => (...args) => {
    if (chat) chat[method](...args);
    else if (!api.destroyed) waiting.push([method, args]);
  };

  const api = (window.WebchatAPI = {
    onReady(callback) {
      if (chat && typeof callback === "function") callback();
      else register("ready")(callback);
    },
    onContextRequired(handler) {
      page.contextHandler = typeof handler === "function" ? handler : null;
    },
    refreshVerifiedContext: later("refreshContext"),
    onOpen: register("open"),
    onClosed: register("closed"),
    onSessionEnded: register("sessionEnded"),
    onMessageSent: register("messageSent"),
    onMessageReceived: register("messageReceived"),
    off(...args) {
      const callback = args.pop();
      const name = args.length ? String(args[0]).replace(/^on/, "") : null;
      const event = name && name[0].toLowerCase() + name.slice(1);
      for (const [key, callbacks] of listeners) if (!event || key === event) callbacks.delete(callback);
    },
    openWidget: later("open"),
    closeWidget: later("close"),
    endSession: later("endSession"),
    showIcon: later("showIcon"),
    hideIcon: later("hideIcon"),
    showBubble: later("showBubble"),
    animateIcon: later("animateIcon"),
    destroy() {
      api.destroyed = true;
      chat?.destroy();
      chat = null;
      root?.remove();
      listeners.clear();
      page.contextHandler = null;
    },
  });
  const assets = `${base}/widget/assets/${config.version}`;
  const page = { config, base, assets, options, emit, contextHandler: null };

  const site = config.host;
  const here = location.hostname.toLowerCase();
  if (site && here !== site && !here.endsWith(`.${site}`)) return;

  const LAUNCHER_CSS = `
    :host { --warmline-color: ${config.color ?? "#2f5bea"}; --warmline-on-color: ${config.ink ?? "#fff"};
      position: fixed; bottom: 20px; right: 20px; z-index: 10000; }
    .launcher { all: unset; box-sizing: border-box; position: relative; display: grid; place-items: center;
      width: 60px; height: 60px; border-radius: 50%; cursor: pointer; -webkit-tap-highlight-color: transparent;
      color: var(--warmline-on-color); background: var(--warmline-color);
      box-shadow: 0 1px 2px rgb(15 23 42 / .16), 0 8px 24px rgb(15 23 42 / .22); }
    .launcher:focus-visible { outline: 3px solid var(--warmline-color); outline-offset: 3px; }
    .launcher svg { width: 28px; height: 28px; }
    [hidden] { display: none !important; }
    @media (max-width: 480px) { .launcher { width: 44px; height: 44px; } .launcher svg { width: 22px; height: 22px; } }`;

  function paintLauncher() {
    root = document.createElement("warmline-chat");
    root.id = "poly-ai-chat";
    const shadow = root.attachShadow({ mode: "open" });
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(LAUNCHER_CSS);
    shadow.adoptedStyleSheets = [sheet];
    const launcher = document.createElement("button");
    launcher.className = "launcher";
    launcher.type = "button";
    launcher.hidden = !options.showIcon || options.fullscreen;
    launcher.setAttribute("aria-label", config.texts?.open ?? "Open chat");
    launcher.setAttribute("aria-haspopup", "dialog");
    launcher.setAttribute("aria-expanded", "false");
    launcher.addEventListener("click", later("toggle"));
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    svg.setAttribute("viewBox", "0 0 24 24");
    svg.setAttribute("fill", "currentColor");
    svg.setAttribute("aria-hidden", "true");
    const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
    path.setAttribute("d", "M12 3C6.5 3 2 6.7 2 11.3c0 2.5 1.3 4.7 3.4 6.2-.1 1-.5 2.2-1.5 3.2-.3.3-.1.8.4.8 2 0 3.7-.9 4.8-1.9.9.2 1.9.3 2.9.3 5.5 0 10-3.8 10-8.6S17.5 3 12 3Z");
    svg.append(path);
    launcher.append(svg);
    shadow.append(launcher);
    document.body.append(root);
  }

  async function load() {
    try {
      const { mount } = await import(`${assets}/widget.js`);
      if (api.destroyed) return;
      chat = await mount(root, page);
    } catch (error) {
      root.remove();
      console.error("warmline: the chat could not be loaded", error);
      return;
    }
    emit("ready");
    for (const [method, args] of waiting.splice(0)) chat[method](...args);
  }

  const begin = () => {
    if (api.destroyed) return;
    paintLauncher();
    load();
  };
  if (document.body) begin();
  else addEventListener("DOMContentLoaded", begin, { once: true });
})();
