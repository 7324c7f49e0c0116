/** Runs one conversation: folds frames into the view model and does what the view model asks for. */

import { initialState, reduce } from "../protocol/reducer.js";
import { decode, endFrame, joinFrame, messageFrame, typingFrame } from "../protocol/wire.js";
import { Connection } from "./connection.js";
import { createSession, sessionIsGone } from "./rest.js";
import { Tabs } from "./tabs.js";

const ECHO_SECONDS = 5;
const SENDS = 3;
const TYPING_EXPIRES_SECONDS = 10;
const TYPING_EVERY_MS = 3000;
const TYPING_STOPS_MS = 5000;
const NEW_SESSIONS = 3;
const REJOINS = 3;
const CONTEXT_SECONDS = 4;

export class ChatClient {
  state = initialState();
  #options;
  #connection = null;
  #session = null;
  #listeners = new Set();
  #sends = new Map();
  #files = new Map();
  #resendTimer = null;
  #typingTimer = null;
  #typing = { sentAt: 0, stopTimer: null };
  #replacements = 0;
  #ready = false;
  #starting = false;
  #contextAsked = false;
  #tabs;

  /**
   * @param options `base` (address of the server) · `token`, `host`, `platform`, `language` (for the two REST calls) ·
   *   `storage` (a `Storage`) · `extras()` → the module of rarely needed parts · `contextHandler()` → the page's verified-context function or null
   */
  constructor(options) {
    this.#options = options;
    this.#tabs = new Tabs(options.token, () => !this.state.ended && this.#session, (session) => this.#adopt(session));
    if (!this.resumable) this.#tabs.ask();
    addEventListener("online", this.#online);
    addEventListener("offline", this.#offline);
  }

  /** @param listener called as `(state, liveEvents)`; events of a replay are not live */
  subscribe(listener) {
    this.#listeners.add(listener);
  }

  get started() {
    return this.#starting || this.#session !== null;
  }

  get resumable() {
    return this.#options.storage.session(Date.now()) !== null;
  }

  /** Resume the stored session or create one; does nothing when already started. */
  async start() {
    if (this.started) return;
    const saved = this.#options.storage.session(Date.now());
    if (!saved) return this.#create();
    this.#session = saved;
    this.#dispatch({ type: "restored", pending: saved.pending ?? [] });
    this.#connect();
  }

  /** @param {string} text what the customer wrote; shown at once, sent until its echo arrives */
  send(text) {
    this.#dispatch({ type: "send", localId: newId(), text: text.trim(), at: Date.now() });
    this.#stopTyping();
    this.#flush();
  }

  /** @param {File} file shown at once as a message of its own, which its echo confirms */
  sendFile(file) {
    const localId = newId();
    this.#files.set(localId, file);
    this.#dispatch({ type: "send", localId, text: "", file: file.name, at: Date.now() });
    this.#upload(localId);
  }

  /** Try a failed message again: the same one when it was never echoed, a copy when it was not forwarded. */
  retry(message) {
    const { localId, text } = message;
    const file = this.#files.get(localId);
    if (message.state === "undelivered") {
      this.#dispatch({ type: "discard", key: message.key });
      if (file) this.sendFile(file);
      else if (text) this.send(text);
      return;
    }
    this.#sends.delete(localId);
    this.#dispatch({ type: "retry", localId });
    if (file) this.#upload(localId);
    else this.#flush();
  }

  async #upload(localId) {
    const file = this.#files.get(localId);
    const progress = (share) => this.#dispatch({ type: "progress", localId, title: file.name, progress: share });
    const { uploadFile } = await this.#options.extras();
    const { status, message } = await uploadFile({ base: this.#options.base, ...this.#session }, localId, file, progress);
    if (status < 300 && status) return;
    if (message && status < 500 && status !== 429) this.#dispatch({ type: "refused", localId, text: message, at: Date.now() });
    else this.#dispatch({ type: "send_failed", localId });
  }

  /** The customer types: told to a live agent only, at most every 3 s (§5.3). */
  typing() {
    if (this.state.owner !== "live") return;
    clearTimeout(this.#typing.stopTimer);
    this.#typing.stopTimer = setTimeout(() => this.#stopTyping(), TYPING_STOPS_MS);
    if (Date.now() - this.#typing.sentAt < TYPING_EVERY_MS) return;
    this.#typing.sentAt = Date.now();
    this.#connection.send(typingFrame(true));
  }

  /** End the conversation, now or as soon as the server can be told. */
  end() {
    this.#dispatch({ type: "ending" });
    if (this.#ready) this.#connection.send(endFrame());
  }

  /** Leave the ended conversation behind and begin a new one. */
  restart() {
    this.#forget();
    this.state = { ...initialState(), generation: this.state.generation + 1 };
    this.#replacements = 0;
    return this.#create();
  }

  /** The customer asks to try again after the connection was given up. */
  reconnect() {
    if (!this.#session) this.#create();
    else this.#connection.retryNow();
  }

  /** Ask the page for a new verified context; without a handler, a session or its context id: nothing (§12). */
  async refreshContext() {
    if (this.#session && this.state.contextId) await this.#submitContext();
  }

  destroy() {
    removeEventListener("online", this.#online);
    removeEventListener("offline", this.#offline);
    this.#tabs.close();
    this.#connection?.close();
    this.#clearTimers();
    this.#listeners.clear();
  }

  #online = () => {
    if (!this.state.ended && this.state.connection !== "idle") this.reconnect();
  };

  #offline = () => {
    if (!this.state.ended) this.#connection?.networkLost();
  };

  async #create() {
    if (this.#starting) return;
    this.#starting = true;
    this.#dispatch({ type: "connection", status: "connecting" });
    const generation = this.state.generation;
    try {
      await this.#tabs.alone(async () => {
        await this.#tabs.ask();
        if (this.#session || generation !== this.state.generation) return;
        this.#session = await createSession(this.#options);
        this.#tabs.tell(this.#session);
        this.#connect();
      });
    } catch {
      this.#dispatch({ type: "connection", status: navigator.onLine ? "lost" : "offline" });
    } finally {
      this.#starting = false;
    }
  }

  /** Another tab of this visitor has a conversation: join it, unless one runs here. */
  #adopt(session) {
    if (this.#session && !this.state.ended) return;
    if (this.#session) this.#forget();
    if (this.state.ended) this.state = { ...initialState(), generation: this.state.generation + 1 };
    this.#session = session;
    this.#options.storage.set({ consented: true });
    this.#connect();
  }

  #connect() {
    const { base } = this.#options;
    const { sessionId, accessToken } = this.#session;
    this.#connection = new Connection({
      url: () => {
        const query = new URLSearchParams({ access_token: accessToken, session_id: sessionId });
        if (this.state.lastSequence) query.set("cursor", this.state.lastSequence);
        return `${base.replace(/^http/, "ws")}/ws?${query}`;
      },
      maxAttempts: () => this.state.capabilities.maxReconnectAttempts,
      isGone: sessionIsGone,
      onOpen: () => {
        this.#ready = false;
        this.#dispatch({ type: "opened" });
      },
      onFrame: (text) => this.#receive(text),
      onStatus: (status) => this.#dispatch({ type: "connection", status }),
      onEnded: () => this.#dispatch({ type: "closed" }),
      onSessionLost: () => this.#sessionLost(),
    });
    this.#dispatch({ type: "connection", status: "connecting" });
    this.#connection.open();
  }

  #receive(text) {
    const frame = decode(text);
    if (!frame) return;
    const replay = this.state.awaitingReplay && frame.batch;
    const before = this.state;
    this.#dispatch({ type: "frame", frame }, replay ? [] : frame.events);
    const after = this.state;
    if (after.needsReplay) {
      this.#connection.reconnect();
      return;
    }
    this.#connection.setHeartbeat(after.capabilities.heartbeatSeconds);
    if (after.typing !== before.typing) this.#expireTyping();
    if (after.startFailures > before.startFailures) this.#rejoin();
    if (replay && !this.#ready) this.#becomeReady();
  }

  /** The replay is in: join unless somebody is there, then send what is waiting, in order. */
  async #becomeReady() {
    const connection = this.#connection;
    if (this.state.ended) return;
    this.#replacements = 0;
    if (this.state.ending) {
      connection.send(endFrame());
      return;
    }
    if (!this.state.joined) {
      if (!this.#contextAsked) await this.#submitContext();
      if (connection !== this.#connection || !connection.send(joinFrame())) return;
    }
    this.#ready = true;
    this.#sends.clear();
    this.#flush();
  }

  #rejoin() {
    if (this.state.startFailures > REJOINS) return;
    const connection = this.#connection;
    setTimeout(() => connection === this.#connection && connection.send(joinFrame()), 2000 * 2 ** this.state.startFailures);
  }

  /** Fails open: whatever goes wrong, the conversation goes on without the context (§12). */
  async #submitContext() {
    const handler = this.#options.contextHandler();
    if (!handler) return;
    this.#contextAsked = true;
    const session = { base: this.#options.base, ...this.#session };
    const work = (async () => {
      const token = await handler({ sessionId: session.sessionId, contextId: this.state.contextId ?? undefined });
      if (typeof token === "string" && token) await (await this.#options.extras()).submitContext(session, token);
      else console.warn("warmline: no context given");
    })();
    const limit = new Promise((resolve) => setTimeout(resolve, CONTEXT_SECONDS * 1000));
    await Promise.race([work.catch(() => console.warn("warmline: context not stored")), limit]);
  }

  /** Send every message that waits for its echo, oldest first; give up on those sent too often. */
  #flush() {
    clearTimeout(this.#resendTimer);
    if (!this.#ready || this.state.ended) return;
    const now = Date.now();
    const waiting = () => this.state.pending.filter(({ state, file }) => state === "sending" && !file);
    for (const { localId, text } of waiting()) {
      const sent = this.#sends.get(localId) ?? { times: 0, dueAt: 0 };
      if (now < sent.dueAt) continue;
      if (sent.times >= SENDS) {
        this.#dispatch({ type: "send_failed", localId });
      } else if (this.#connection.send(messageFrame(text, localId))) {
        const times = sent.times + 1;
        this.#sends.set(localId, { times, dueAt: now + ECHO_SECONDS * times * 1000 });
      }
    }
    if (waiting().length) {
      this.#resendTimer = setTimeout(() => this.#flush(), 1000);
    }
  }

  #expireTyping() {
    clearTimeout(this.#typingTimer);
    if (!this.state.typing) return;
    this.#typingTimer = setTimeout(() => this.#dispatch({ type: "typing_expired" }), TYPING_EXPIRES_SECONDS * 1000);
  }

  #stopTyping() {
    clearTimeout(this.#typing.stopTimer);
    if (this.#typing.sentAt) this.#connection?.send(typingFrame(false));
    this.#typing.sentAt = 0;
  }

  #sessionLost() {
    this.#forget();
    this.#dispatch({ type: "session_lost", at: Date.now() });
    this.#replacements += 1;
    if (this.#replacements > NEW_SESSIONS) this.#dispatch({ type: "connection", status: "lost" });
    else this.#create();
  }

  #forget() {
    this.#connection?.close();
    this.#connection = null;
    this.#session = null;
    this.#ready = false;
    this.#contextAsked = false;
    this.#sends.clear();
    this.#clearTimers();
  }

  #clearTimers() {
    clearTimeout(this.#resendTimer);
    clearTimeout(this.#typingTimer);
    clearTimeout(this.#typing.stopTimer);
  }

  #dispatch(action, liveEvents = []) {
    this.state = reduce(this.state, action);
    if (this.state.connection !== "open") this.#ready = false;
    if (this.state.ended && this.#session) {
      this.#connection?.close();
      this.#clearTimers();
      this.#options.storage.set({ session: null });
    } else if (this.#session) {
      const pending = this.state.pending.filter((message) => !message.file);
      this.#options.storage.set({ session: { ...this.#session, pending, lastActivity: Date.now() } });
    }
    for (const listener of this.#listeners) listener(this.state, liveEvents);
  }
}

/** Pages without a secure context have no `crypto.randomUUID`. */
function newId() {
  return crypto.randomUUID?.() ?? [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
