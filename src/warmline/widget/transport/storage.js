/**
 * What survives a reload, per tab: the session, its unsent messages and whether the panel was open. Where the
 * browser forbids storage the conversation simply does not survive.
 */

/** A session is resumed within 10 minutes of its last activity (messaging-protocol.md §3.6). */
const RESUME_MS = 600_000;

export class Storage {
  #key;
  #value = {};

  constructor(token) {
    this.#key = `warmline:${token}`;
    try {
      this.#value = JSON.parse(sessionStorage.getItem(this.#key)) ?? {};
    } catch {
      this.#value = {};
    }
  }

  get(name) {
    return this.#value[name];
  }

  set(change) {
    this.#value = { ...this.#value, ...change };
    try {
      sessionStorage.setItem(this.#key, JSON.stringify(this.#value));
    } catch {
      return;
    }
  }

  /** @returns {{sessionId: string, accessToken: string, lastActivity: number, pending: object[]} | null} */
  session(now) {
    const saved = this.#value.session;
    return saved && now - saved.lastActivity < RESUME_MS ? saved : null;
  }
}
