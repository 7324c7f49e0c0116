/** What each server event does to the view model (messaging-protocol.md §6 to §9). Pure. */

import { int, isObject, list, str } from "./wire.js";

/** Apply one event whose order was already checked; unknown types change nothing (§4.3). */
export function applyEvent(state, event) {
  const handler = Object.hasOwn(handlers, event.type) ? handlers[event.type] : null;
  return handler ? { ...state, ...handler(state, event.payload, event) } : state;
}

const keyOf = (state, event) => `${state.generation}:${event.id || event.sequence}`;

const addLine = (state, event, code, extra = {}) => ({
  items: [...state.items, { kind: "line", key: keyOf(state, event), code, at: event.at, ...extra }],
});

const suggestionsOf = (payload) =>
  list(payload.response_suggestions)
    .map((suggestion) => str(suggestion.message_text))
    .filter(Boolean);

const attachmentsOf = (payload) =>
  list(payload.attachments).map((attachment) => ({
    title: str(attachment.title),
    url: str(attachment.content_url),
    preview: str(attachment.preview_image_url),
    image: attachment.content_type === "ATTACHMENT_CONTENT_TYPE_IMAGE",
    action: str(attachment.call_to_action_text),
  }));

const callActionsOf = (payload) =>
  list(payload.chat_call_actions)
    .map((action) => ({ title: str(action.title), number: str(action.contact_number) }))
    .filter((action) => action.number);

const hasContent = (message) =>
  message.text.trim() !== "" || message.attachments.length > 0 || message.callActions.length > 0;

/** A complete agent message; one that repeats a known `message_id` takes the place of its chunks. */
function agentMessage(state, payload, event, speaker) {
  const messageId = str(payload.message_id);
  const message = {
    kind: "message",
    key: messageId ? `${state.generation}:${messageId}` : keyOf(state, event),
    at: event.at,
    text: str(payload.text),
    attachments: attachmentsOf(payload),
    callActions: callActionsOf(payload),
    ...speaker,
  };
  const suggestions = suggestionsOf(payload);
  if (!hasContent(message)) return suggestions.length ? { suggestions } : {};
  const known = state.items.some((item) => item.key === message.key);
  const items = known
    ? state.items.map((item) => (item.key === message.key && item.chunks ? message : item))
    : [...state.items, message];
  return { items, suggestions, typing: null, streaming: null };
}

const virtualSpeaker = (state, payload = {}) => ({
  author: "virtual",
  name: str(payload.agent_name) || state.agent?.name || "",
  avatar: str(payload.avatar_url) || state.agent?.avatar || "",
});

function liveSpeaker(state, payload) {
  const id = str(payload.agent_id);
  const known = id && id === state.liveAgent?.id ? state.liveAgent : null;
  return {
    author: "live",
    agentId: id,
    name: str(payload.agent_name) || known?.name || "",
    avatar: str(payload.avatar_url) || known?.avatar || "",
  };
}

/** Fragments carry their own spaces, so the text is their plain concatenation by index (§7). */
function chunk(state, payload, event) {
  const key = `${state.generation}:${str(payload.message_id)}`;
  const known = state.items.find((item) => item.key === key);
  if (known && !known.chunks) return {};
  const base = known ?? {
    kind: "message", key, at: event.at, chunks: {}, attachments: [], callActions: [], ...virtualSpeaker(state),
  };
  const chunks = { ...base.chunks, [int(payload.chunk_index) ?? 0]: str(payload.text) };
  const seen = new Set(base.attachments.map((attachment) => attachment.url));
  const message = {
    ...base,
    chunks,
    text: Object.keys(chunks).map(Number).sort((a, b) => a - b).map((index) => chunks[index]).join(""),
    attachments: [...base.attachments, ...attachmentsOf(payload).filter(({ url }) => !seen.has(url))],
  };
  const fresh = suggestionsOf(payload);
  return {
    items: known ? state.items.map((item) => (item.key === key ? message : item)) : [...state.items, message],
    suggestions: known ? [...state.suggestions, ...fresh] : fresh,
    streaming: payload.is_complete === true ? null : key,
    typing: null,
  };
}

function userMessage(state, payload, event) {
  const localId = str(event.custom.local_id) || str(event.custom.client_event_id);
  const text = str(payload.text);
  const mine = state.pending.find((m) => (localId ? m.localId === localId : m.text === text));
  const message = {
    kind: "message",
    key: mine?.localId ?? (localId || keyOf(state, event)),
    localId: mine?.localId ?? localId,
    messageId: str(payload.message_id),
    author: "user",
    text,
    attachments: attachmentsOf(payload),
    at: event.at,
    state: "sent",
  };
  return {
    items: [...state.items, message],
    pending: state.pending.filter((m) => m !== mine),
    suggestions: [],
    streaming: null,
  };
}

function handoffEnded(state, payload, event, code) {
  const last = state.items.at(-1);
  const told = last?.kind === "line" && last.code === "system" && last.level === "error";
  return {
    ...(told ? {} : addLine(state, event, code)),
    owner: state.agent ? "virtual" : "nobody",
    queue: null,
    files: null,
    liveAgent: null,
    typing: null,
  };
}

/** Which files can be sent until the handoff is over; servers that do not say so take none. */
function filesOf({ capabilities }) {
  const rules = isObject(capabilities) ? capabilities.attachments : null;
  if (!isObject(rules) || !Array.isArray(rules.types)) return null;
  return { types: rules.types.map(str), maxBytes: int(rules.max_size_bytes) ?? Infinity };
}

/** The §10 texts after which the agent has to be asked to join again (§5.1). */
const START_FAILED = /conversation (id )?not found|unable to start a conversation/i;

function systemMessage(state, payload, event) {
  const text = str(payload.message);
  const level = str(payload.level).replace("SYSTEM_MESSAGE_LEVEL_", "").toLowerCase() || "info";
  const localId = str(event.custom.local_id);
  if (level === "error" && /failed to forward message/i.test(text) && localId) {
    const items = state.items.map((m) => (m.localId === localId ? { ...m, state: "undelivered" } : m));
    return { items };
  }
  if (!text) return {};
  const startFailures = state.startFailures + (level === "error" && START_FAILED.test(text) ? 1 : 0);
  const last = state.items.at(-1);
  const repeated = last?.code === "system" && last.text === text;
  const replaces = last?.code === "handoff_failed" && level === "error";
  const kept = { ...state, items: repeated || replaces ? state.items.slice(0, -1) : state.items };
  return { ...addLine(kept, event, "system", { text, level }), typing: null, startFailures };
}

const withState = (state, payload, value) => ({
  items: state.items.map((m) =>
    m.author === "user" && m.messageId && m.messageId === str(payload.message_id) ? { ...m, state: value } : m,
  ),
});

const handlers = {
  SESSION_START(state, payload) {
    const given = isObject(payload.capabilities) ? payload.capabilities : {};
    const { heartbeatSeconds, maxMessageBytes, maxReconnectAttempts } = state.capabilities;
    const natural = (value, fallback) => (Number.isInteger(value) && value >= 0 ? value : fallback);
    return {
      contextId: str(payload.context_id) || null,
      capabilities: {
        heartbeatSeconds: natural(given.heartbeat_interval_seconds, heartbeatSeconds),
        maxMessageBytes: natural(given.max_message_size_bytes, maxMessageBytes),
        maxReconnectAttempts: natural(given.max_reconnect_attempts, maxReconnectAttempts),
      },
    };
  },

  SESSION_END: (state, payload) => ({
    ended: str(payload.reason) || "closed",
    owner: "nobody",
    typing: null,
    queue: null,
    streaming: null,
    suggestions: [],
  }),

  SESSION_IDLE_WARNING: (state, payload, event) => addLine(state, event, "idle_warning"),

  SYSTEM_MESSAGE: systemMessage,

  LANGUAGE_CHANGED: (state, payload) => ({ language: str(payload.language_code) || state.language }),

  USER_MESSAGE: userMessage,

  POLY_AGENT_JOINED(state, payload, event) {
    const agent = {
      name: str(payload.agent_name),
      avatar: str(payload.agent_avatar_url) || str(payload.avatar_url),
    };
    const returns = state.joined && state.owner !== "virtual";
    return {
      ...(returns ? addLine(state, event, "joined", { name: agent.name, virtual: true }) : {}),
      agent, joined: true, owner: "virtual", startFailures: 0, queue: null,
    };
  },

  POLY_AGENT_THINKING: (state) => ({ typing: { ...virtualSpeaker(state) } }),

  POLY_AGENT_MESSAGE: (state, payload, event) => ({
    ...agentMessage(state, payload, event, virtualSpeaker(state, payload)),
    ...(payload.end_conversation === true ? { ended: "agent_ended" } : {}),
  }),

  POLY_AGENT_MESSAGE_CHUNK: chunk,

  POLY_AGENT_TRIGGERED_HANDOFF: (state, payload, event) => ({
    ...addLine(state, event, "handoff_started"),
    owner: "handoff", joined: true, typing: null, suggestions: [],
  }),

  POLY_AGENT_LEFT: (state) => ({ owner: state.owner === "virtual" ? "nobody" : state.owner, typing: null }),

  CLIENT_HANDOFF_REQUIRED: (state, payload, event) => ({
    ...addLine(state, event, "handoff_required", { route: str(payload.route) || str(payload.queue_name) }),
    owner: "nobody",
  }),

  HANDOFF_ACCEPTED: (state, payload, event) => ({
    ...addLine(state, event, "handoff_accepted"),
    owner: "queue", joined: true, queue: { name: str(payload.queue_name) }, files: filesOf(payload),
  }),

  HANDOFF_QUEUE_STATUS: (state, payload) => ({
    queue: {
      name: str(payload.queue_name) || state.queue?.name || "",
      position: int(payload.position_in_queue) ?? int(payload.position),
      waitSeconds: int(payload.estimated_wait_seconds),
      text: str(payload.display_message),
    },
  }),

  HANDOFF_FAILED: (state, payload, event) => handoffEnded(state, payload, event, "handoff_failed"),

  HANDOFF_TIMEOUT: (state, payload, event) => handoffEnded(state, payload, event, "handoff_timeout"),

  LIVE_AGENT_JOINED(state, payload, event) {
    const nested = isObject(payload.agent) ? payload.agent : {};
    const liveAgent = {
      id: str(payload.agent_id) || str(nested.id),
      name: str(payload.agent_name) || str(nested.name),
      avatar: str(payload.avatar_url) || str(nested.avatar_url),
    };
    const same = state.owner === "live" && state.liveAgent?.id === liveAgent.id;
    return {
      ...(same ? {} : addLine(state, event, "joined", { name: liveAgent.name })),
      liveAgent, joined: true, owner: "live", queue: null, typing: null,
    };
  },

  LIVE_AGENT_TYPING: (state, payload) => ({
    typing: payload.state === "TYPING_STATE_STOPPED" ? null : liveSpeaker(state, { agent_id: state.liveAgent?.id, ...payload }),
  }),

  LIVE_AGENT_MESSAGE: (state, payload, event) => agentMessage(state, payload, event, liveSpeaker(state, payload)),

  LIVE_AGENT_RECEIVED_MESSAGE: (state, payload) => withState(state, payload, "delivered"),

  LIVE_AGENT_READ_MESSAGE: (state, payload) => withState(state, payload, "delivered"),

  LIVE_AGENT_LEFT: (state, payload, event) => ({
    ...addLine(state, event, "left", { name: str(payload.agent_name) || state.liveAgent?.name || "" }),
    liveAgent: null, owner: "nobody", typing: null, files: null,
  }),
};
