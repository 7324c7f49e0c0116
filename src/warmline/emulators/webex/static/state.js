// What the page knows, and how the server's updates change it. Pure: no DOM, no network.

export const initialState = () => ({
  agentId: "",
  agents: [],
  waiting: {},
  wrapUpCodes: [],
  conversations: [],
  selected: "",
  unread: {},
  clockOffset: 0,
  live: false,
});

/** Return the state after an update from the server; `now` is the browser's time in epoch ms. */
export function reduce(state, update, now) {
  switch (update.type) {
    case "snapshot":
      return withConversations(
        {
          ...state,
          agents: update.agents,
          waiting: update.waiting,
          wrapUpCodes: update.wrapUpCodes,
          clockOffset: update.now - now,
          live: true,
        },
        update.conversations,
      );
    case "waiting":
      return { ...state, waiting: update.waiting };
    case "agent": {
      const agents = state.agents.map((agent) => (agent.id === update.agent.id ? update.agent : agent));
      const next = { ...state, agents, clockOffset: update.now - now };
      return update.conversations ? withConversations(next, update.conversations) : next;
    }
    case "message":
      return withMessage(state, update.taskId, update.message);
    default:
      return state;
  }
}

function withConversations(state, conversations) {
  const isOpen = (item) => item.slot !== "offered";
  const known = new Map(state.conversations.map((item) => [item.id, item]));
  const accepted = conversations.find((item) => isOpen(item) && known.get(item.id)?.slot === "offered");
  const isStillMine = conversations.some((item) => item.id === state.selected);
  return { ...state, conversations, selected: isStillMine ? state.selected : (accepted?.id ?? "") };
}

function withMessage(state, taskId, message) {
  const conversations = state.conversations.map((item) => {
    if (item.id !== taskId) return item;
    const repeated = item.transcript.some((entry) => entry.aliasId === message.aliasId && entry.at === message.at);
    return repeated ? item : { ...item, transcript: [...item.transcript, message] };
  });
  const isNews = message.senderType === "customer" && taskId !== state.selected;
  const unread = isNews ? { ...state.unread, [taskId]: (state.unread[taskId] ?? 0) + 1 } : state.unread;
  return { ...state, conversations, unread };
}

/** Return the state with another conversation open; "" opens none. */
export function select(state, taskId) {
  const { [taskId]: _, ...unread } = state.unread;
  return { ...state, selected: taskId, unread };
}

export const me = (state) => state.agents.find((agent) => agent.id === state.agentId);
export const isWorking = (state) => Boolean(me(state) && me(state).state !== "LoggedOut");
export const offers = (state) => state.conversations.filter((item) => item.slot === "offered");
export const opened = (state) => state.conversations.filter((item) => item.slot !== "offered");
export const current = (state) => opened(state).find((item) => item.id === state.selected);

export const agentName = (state, agentId) => state.agents.find((agent) => agent.id === agentId)?.name ?? "another agent";
export const customerName = (conversation) => conversation.origin.name || "Customer";

/** Return since when (epoch ms, server time) the customer waits for an answer, or null when it is their turn. */
export function waitingSince(conversation) {
  let since = null;
  for (const message of conversation.transcript) {
    if (message.senderType === "agent") since = null;
    else if (message.senderType === "customer" && since === null) since = message.at;
  }
  return conversation.slot === "connected" ? since : null;
}
