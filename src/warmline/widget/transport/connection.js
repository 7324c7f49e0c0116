/** One session's WebSocket: opens, beats, comes back with the cursor (messaging-protocol.md §3). */

import { heartbeatFrame } from "../protocol/wire.js";

const MAX_BACKOFF_SECONDS = 30;
const JITTER = 0.2;
const NETWORK_POLL_SECONDS = 10;
const HANDSHAKE_SECONDS = 15;
const PULSE_ANSWER_SECONDS = 10;

const NORMAL = 1000;
const REPLACED = 4000;
const SESSION_INVALID = 4001;
const NETWORK = 4003;

export class Connection {
  #options;
  #socket = null;
  #attempt = 0;
  #retryTimer = null;
  #watchdog = null;
  #heartbeat = null;
  #heartbeatSeconds = 30;
  #stopped = false;

  /**
   * @param options `url()` → socket address with the present cursor · `maxAttempts()` → 0 means without limit ·
   *   `isGone(url)` → whether a refused session is dead · `onOpen()`, `onFrame(text)`,
   *   `onStatus("connecting" | "reconnecting" | "offline" | "lost")`, `onEnded()`, `onSessionLost()`
   */
  constructor(options) {
    this.#options = options;
  }

  get isOpen() {
    return this.#socket?.readyState === WebSocket.OPEN;
  }

  open() {
    this.#detach();
    this.#stopped = false;
    const url = this.#options.url();
    const socket = new WebSocket(url);
    this.#socket = socket;
    let opened = false;
    this.#watch(HANDSHAKE_SECONDS);
    socket.onopen = () => {
      opened = true;
      clearTimeout(this.#watchdog);
      this.#attempt = 0;
      this.#options.onOpen();
      this.#beat();
    };
    socket.onmessage = ({ data }) => {
      clearTimeout(this.#watchdog);
      if (typeof data === "string") this.#options.onFrame(data);
      else this.reconnect();
    };
    socket.onclose = ({ code }) => {
      if (opened || code === SESSION_INVALID) this.#closed(code);
      else this.#refused(url, code);
    };
  }

  /** @returns {boolean} whether the frame was handed to an open socket */
  send(frame) {
    if (!this.isOpen) return false;
    this.#socket.send(frame);
    return true;
  }

  /** @param {number} seconds between heartbeats; 0 stops them (§3.5) */
  setHeartbeat(seconds) {
    if (seconds === this.#heartbeatSeconds) return;
    this.#heartbeatSeconds = seconds;
    this.#beat();
  }

  /** Drop the socket and come back with the cursor. */
  reconnect() {
    this.#detach();
    this.#retry();
  }

  /** The browser says that the network is back, or the customer asked: try at once. */
  retryNow() {
    if (this.#stopped || this.isOpen) return;
    this.#attempt = 0;
    this.open();
  }

  /** The browser says that there is no network: the socket may look open for minutes, so drop it. */
  networkLost() {
    if (this.#stopped) return;
    this.#detach();
    this.#options.onStatus("offline");
    this.#retryIn(NETWORK_POLL_SECONDS);
  }

  /** End for good. */
  close() {
    this.#stopped = true;
    this.#detach(NORMAL);
  }

  #detach(code) {
    clearTimeout(this.#retryTimer);
    clearTimeout(this.#watchdog);
    clearInterval(this.#heartbeat);
    const socket = this.#socket;
    this.#socket = null;
    if (!socket) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close(code);
  }

  #watch(seconds) {
    clearTimeout(this.#watchdog);
    this.#watchdog = setTimeout(() => this.reconnect(), seconds * 1000);
  }

  #beat() {
    clearInterval(this.#heartbeat);
    if (!this.#heartbeatSeconds || !this.isOpen) return;
    this.#heartbeat = setInterval(() => {
      if (this.send(heartbeatFrame())) this.#watch(PULSE_ANSWER_SECONDS);
    }, this.#heartbeatSeconds * 1000);
  }

  #closed(code) {
    this.#detach();
    if (code === NORMAL) this.#options.onEnded();
    else if (code === SESSION_INVALID) this.#options.onSessionLost();
    else if (code === REPLACED) this.#options.onStatus("lost");
    else if (code === NETWORK) this.#retryIn(NETWORK_POLL_SECONDS, "reconnecting");
    else this.#retry();
  }

  async #refused(url, code) {
    const socket = this.#socket;
    const gone = await this.#options.isGone(url);
    if (this.#stopped || this.#socket !== socket) return;
    if (gone) this.#closed(SESSION_INVALID);
    else this.#closed(code);
  }

  #retry() {
    const limit = this.#options.maxAttempts();
    if (limit && this.#attempt >= limit) {
      this.#options.onStatus("lost");
      return;
    }
    const seconds = Math.min(MAX_BACKOFF_SECONDS, 2 ** this.#attempt);
    this.#attempt += 1;
    this.#retryIn(seconds * (1 + JITTER * (2 * Math.random() - 1)), "reconnecting");
  }

  #retryIn(seconds, status) {
    clearTimeout(this.#retryTimer);
    if (status) this.#options.onStatus(navigator.onLine ? status : "offline");
    this.#retryTimer = setTimeout(() => this.open(), seconds * 1000);
  }
}
