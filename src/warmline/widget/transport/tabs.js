/**
 * Keeps the tabs of one visitor in one conversation: a tab that has it tells the others. Nothing of it outlives the
 * last tab, unlike what lies in `localStorage`.
 */

const ANSWER_MS = 150;

export class Tabs {
  #name;
  #channel;
  #answered = null;

  /**
   * @param {string} token of the connector: tabs with the same one belong together
   * @param {() => object | null | false} mine the session of this tab
   * @param {(session: object) => void} onSession what another tab has
   */
  constructor(token, mine, onSession) {
    this.#name = `warmline:${token}`;
    this.#channel = new BroadcastChannel(this.#name);
    this.#channel.onmessage = ({ data }) => {
      if (data) {
        onSession(data);
        this.#answered?.();
      } else if (mine()) this.tell(mine());
    };
  }

  tell(session) {
    this.#channel.postMessage(session);
  }

  /** Ask the other tabs, and wait a moment for the first answer. */
  ask() {
    this.#channel.postMessage(null);
    return new Promise((resolve) => {
      this.#answered = resolve;
      setTimeout(resolve, ANSWER_MS);
    });
  }

  /** Do `work` while no other tab does its own. */
  alone(work) {
    return navigator.locks ? navigator.locks.request(this.#name, work) : work();
  }

  close() {
    this.#channel.close();
  }
}
