/**
 * Frames of the messaging protocol, both ways (messaging-protocol.md §4 and §5).
 * Types lose their `EVENT_TYPE_` prefix inside the widget.
 */

const PREFIX = "EVENT_TYPE_";

export const str = (value) => (typeof value === "string" ? value : "");
export const list = (value) => (Array.isArray(value) && value.every(isObject) ? value : []);
export const int = (value) => (Number.isInteger(value) ? value : null);

export function isObject(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function decodeEvent(raw) {
  if (!isObject(raw) || !str(raw.type).startsWith(PREFIX)) return null;
  return {
    id: str(raw.id),
    type: raw.type.slice(PREFIX.length),
    sequence: int(raw.sequence),
    at: Date.parse(raw.timestamp) || null,
    payload: isObject(raw.payload) ? raw.payload : {},
    custom: isObject(raw.metadata) && isObject(raw.metadata.custom) ? raw.metadata.custom : {},
  };
}

/**
 * Decode one text frame, as tolerant as §4.3 asks.
 * @returns {{batch: boolean, events: object[]} | null} null when there is nothing to use in the frame
 */
export function decode(text) {
  let raw;
  try {
    raw = JSON.parse(text);
  } catch {
    return null;
  }
  const event = decodeEvent(raw);
  if (!event) return null;
  if (event.type !== "EVENT_BATCH") return { batch: false, events: [event] };
  const order = (e) => e.sequence ?? Infinity;
  const events = list(event.payload.events)
    .map(decodeEvent)
    .filter((nested) => nested && nested.type !== "EVENT_BATCH")
    .sort((a, b) => (order(a) === order(b) ? 0 : order(a) - order(b)));
  return { batch: true, events };
}

const frame = (type, payload = {}, custom = null) =>
  JSON.stringify({ type: PREFIX + type, payload, ...(custom && { metadata: { custom } }) });

export const joinFrame = () => frame("REQUEST_POLY_AGENT_JOIN");
export const heartbeatFrame = () => frame("HEARTBEAT");
export const endFrame = () => frame("USER_END_SESSION");
export const messageFrame = (text, localId) => frame("USER_MESSAGE", { text }, { local_id: localId });
export const typingFrame = (started) =>
  frame("USER_TYPING", { state: started ? "TYPING_STATE_STARTED" : "TYPING_STATE_STOPPED" });
