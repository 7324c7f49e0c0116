// The connection to the emulator: updates come by WebSocket, actions go to the control plane by HTTP.

const LONGEST_PAUSE_MS = 5000;

/** Keep a socket open for one agent; `onUpdate` gets every update, `onState` whether the connection is up. */
export class Live {
  constructor(onUpdate, onState) {
    this.onUpdate = onUpdate;
    this.onState = onState;
    this.pause = 250;
    this.socket = null;
    this.timer = 0;
  }

  follow(agentId) {
    clearTimeout(this.timer);
    const old = this.socket;
    const url = new URL("ws", location.href);
    url.protocol = url.protocol.replace("http", "ws");
    url.searchParams.set("agent", agentId);
    const socket = new WebSocket(url);
    this.socket = socket;
    old?.close();
    socket.onmessage = (event) => {
      if (socket !== this.socket) return;
      this.pause = 250;
      this.onState(true);
      this.onUpdate(JSON.parse(event.data));
    };
    socket.onclose = () => {
      if (socket !== this.socket) return;
      this.onState(false);
      this.timer = setTimeout(() => this.follow(agentId), this.pause);
      this.pause = Math.min(this.pause * 2, LONGEST_PAUSE_MS);
    };
  }
}

/** Carry out an agent's action; throws an Error whose message can be shown. */
export async function act(agentId, action, body = {}) {
  let response;
  try {
    response = await fetch(`/__sim/v1/agents/${encodeURIComponent(agentId)}/${action}`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
    });
  } catch {
    throw new Error("The emulator cannot be reached.");
  }
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(answer.message || `The emulator refused (${response.status}).`);
  return answer;
}
