/**
 * The widget's view model: a pure fold of server events and local actions. No clock, no I/O, no DOM.
 *
 * `items` is what the server has said, in the order of its log; `pending` are the customer's messages that the
 * server has not echoed yet and always come after it.
 */

import { applyEvent } from "./events.js";

/** @returns the state before anything was said */
export function initialState() {
  return {
    generation: 0,
    lastSequence: 0,
    awaitingReplay: true,
    gapsAllowed: false,
    needsReplay: false,
    connection: "idle",
    items: [],
    pending: [],
    suggestions: [],
    typing: null,
    owner: "nobody",
    joined: false,
    startFailures: 0,
    agent: null,
    liveAgent: null,
    queue: null,
    files: null,
    ending: false,
    ended: null,
    language: null,
    contextId: null,
    streaming: null,
    capabilities: { heartbeatSeconds: 30, maxMessageBytes: 131072, maxReconnectAttempts: 10 },
  };
}

/**
 * @param state a view model; never changed
 * @param action `{type, …}`, one of the keys of `actions` below
 * @returns the next view model
 */
export function reduce(state, action) {
  return actions[action.type](state, action);
}

const actions = {
  /** The socket is open: the next batch is the server's whole answer to our cursor. */
  opened: (state) => ({ ...state, awaitingReplay: true, needsReplay: false, connection: "open" }),

  connection: (state, { status }) => ({
    ...state,
    connection: status,
    typing: status === "open" ? state.typing : null,
  }),

  frame(state, { frame }) {
    const trusted = frame.batch && state.awaitingReplay;
    const next = frame.events.reduce((s, event) => receive(s, event, trusted), state);
    return trusted ? { ...next, awaitingReplay: false } : next;
  },

  /** The customer pressed send, or chose a file: shown at once, kept until its echo arrives. */
  send: (state, { localId, text, file, at }) => ({
    ...state,
    suggestions: [],
    pending: [...state.pending, {
      kind: "message", key: localId, localId, author: "user", text, at, state: "sending", file,
      attachments: file ? [{ title: file, progress: 0 }] : [],
    }],
  }),

  progress: (state, { localId, title, progress }) => withPending(state, localId, { attachments: [{ title, progress }] }),

  /** The server does not take the file and says why. */
  refused: (state, { localId, text, at }) => ({
    ...state,
    items: [...state.items, { kind: "line", key: `${localId}:refused`, code: "system", level: "error", text, at }],
    pending: state.pending.filter((m) => m.localId !== localId),
  }),

  restored: (state, { pending }) => ({ ...state, pending: [...pending, ...state.pending] }),

  send_failed: (state, { localId }) => withPending(state, localId, { state: "failed" }),

  retry: (state, { localId }) => withPending(state, localId, { state: "sending" }),

  /** A message that never reached the live agent leaves the log's view; its copy is sent as a new one. */
  discard: (state, { key }) => ({ ...state, items: state.items.filter((item) => item.key !== key) }),

  typing_expired: (state) => ({ ...state, typing: null }),

  ending: (state) => ({ ...state, ending: true }),

  /** Code 1000 is final even when `SESSION_END` did not come through (§3.7). */
  closed: (state) => (state.ended ? state : { ...state, ended: "closed", typing: null, streaming: null }),

  /** The server no longer knows the session: what was said stays, a new log begins (§3.7, code 4001). */
  session_lost: (state, { at }) => ({
    ...initialState(),
    generation: state.generation + 1,
    connection: state.connection,
    items: state.items.length
      ? [...state.items, { kind: "line", key: `${state.generation}:expired`, code: "session_expired", at }]
      : [],
    pending: state.pending,
  }),
};

function withPending(state, localId, change) {
  return { ...state, pending: state.pending.map((m) => (m.localId === localId ? { ...m, ...change } : m)) };
}

/**
 * Next number → apply; already seen → ignore; a gap → ask for a replay, unless the server has just said, in a
 * batch that answers our cursor, that nothing lies between.
 */
function receive(state, event, trusted) {
  if (event.sequence === null) return applyEvent(state, event);
  if (event.sequence <= state.lastSequence) return state;
  const gap = event.sequence !== state.lastSequence + 1;
  if (gap && !trusted && !state.gapsAllowed) return { ...state, needsReplay: true };
  const numbered = { ...state, lastSequence: event.sequence, gapsAllowed: state.gapsAllowed || (gap && trusted) };
  return applyEvent(numbered, event);
}
