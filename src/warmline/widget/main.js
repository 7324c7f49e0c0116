/** Brings the parts together: the conversation, its view, and what the page may call. */

import { loadTexts } from "./i18n/index.js";
import { ChatClient } from "./transport/client.js";
import { Storage } from "./transport/storage.js";
import { ChatElement } from "./view/chat_element.js";

const PLATFORMS = { web: "web", ios: "ios-web", android: "android-web" };

/**
 * @param {HTMLElement} root the `#poly-ai-chat` element, its launcher already painted
 * @param page what the embed script knows: `config`, `base`, `options`, `emit(event, payload)`, `contextHandler`
 * @returns the object that `window.WebchatAPI` forwards to
 */
export async function mount(root, page) {
  const { config, base, options, emit } = page;
  if (!customElements.get("warmline-chat")) customElements.define("warmline-chat", ChatElement);
  customElements.upgrade(root);
  const texts = await loadTexts(page.assets, config.languages, navigator.languages, config.texts);
  const storage = new Storage(config.token);
  const client = new ChatClient({
    base,
    token: config.token,
    host: location.hostname,
    platform: PLATFORMS[options.platform],
    language: texts.language,
    storage,
    extras: () => extras(page),
    contextHandler: () => page.contextHandler,
  });
  root.mount({ client, storage, texts, extras: () => extras(page), ...page });
  watch(client, emit);
  return root;
}

/** What few visitors need, loaded when one does. */
const extras = ({ assets }) => import(`${assets}/extras.js`);

/** Tell the page what happens (messaging-protocol.md §15.3); a replay is not news. */
function watch(client, emit) {
  let ended = false;
  const announced = new Set();
  client.subscribe((state, liveEvents) => {
    if (state.ended && !ended) emit("sessionEnded", { reason: state.ended });
    ended = Boolean(state.ended);
    for (const { type, payload } of liveEvents) {
      const { message_id: id, text } = payload;
      if (!id || announced.has(id)) continue;
      if (type === "USER_MESSAGE") emit("messageSent", { messageId: id, text });
      else if (type === "POLY_AGENT_MESSAGE" || type === "LIVE_AGENT_MESSAGE") emit("messageReceived", { messageId: id, text });
      else if (type === "POLY_AGENT_MESSAGE_CHUNK" && payload.is_complete) {
        const message = state.items.find((item) => item.key === `${state.generation}:${id}`);
        emit("messageReceived", { messageId: id, text: message?.text ?? "" });
      } else continue;
      announced.add(id);
    }
  });
}
