// Everything around the open conversation: agent picker, bar, offers, list, details, dialogs.

import { $, duration, face, h, refresh } from "./dom.js";
import { agentName, customerName, isWorking, me, offers, opened, waitingSince } from "./state.js";

const STATE_WORDS = { LoggedOut: "logged out", Available: "available", Idle: "idle", RONA: "missed an offer" };

export function drawPicker(state, logIn) {
  refresh(
    $("agents"),
    state.agents.map((agent) =>
      h(
        "li",
        {},
        h(
          "button",
          { type: "button", class: "agent-choice", "data-key": agent.id, onclick: () => logIn(agent.id) },
          face(agent.name),
          h("span", { class: "agent-choice-text" }, h("strong", {}, agent.name), h("span", {}, `Queues: ${agent.queues.join(", ")}`)),
          h("span", { class: `dot-word ${agent.state.toLowerCase()}` }, STATE_WORDS[agent.state]),
        ),
      ),
    ),
  );
}

export function drawBar(state, soundOn) {
  const agent = me(state);
  refresh(
    $("waiting"),
    agent.queues.map((queue) => {
      const { count = 0, since } = state.waiting[queue] ?? {};
      return h(
        "li",
        { class: count ? "busy" : "" },
        h("span", {}, queue),
        h("strong", {}, `${count} waiting`),
        since ? h("span", { class: "longest", title: "Longest wait", "data-since": since }) : null,
      );
    }),
  );
  document.querySelectorAll("#presence input").forEach((input) => {
    input.checked = input.value === agent.state;
  });
  $("presence").dataset.state = agent.state;
  $("who").replaceChildren(face(agent.name), h("span", { class: "who-name" }, agent.name));
  $("missed").hidden = agent.state !== "RONA";
  $("logout").disabled = state.conversations.length > 0;
  $("logout").title = state.conversations.length ? "Finish your conversations first" : "";
  $("sound").setAttribute("aria-pressed", String(soundOn));
}

export function drawOffers(state, accept, decline) {
  const shown = offers(state).map((item) => `${item.id} ${item.offerEnds} ${item.transcript.length}`).join();
  if ($("offers").dataset.shown === shown) return;
  $("offers").dataset.shown = shown;
  refresh(
    $("offers"),
    offers(state).map((item) =>
      h(
        "article",
        { class: "offer", "aria-label": `Incoming conversation from ${customerName(item)}` },
        h(
          "div",
          { class: "offer-top" },
          face(customerName(item)),
          h("div", { class: "offer-text" }, h("strong", {}, customerName(item)), h("span", {}, `Queue ${item.queue}, here for `, h("span", { "data-since": item.createdTime }))),
          h("span", { class: "countdown", role: "timer", "aria-label": "Seconds left", "data-until": item.offerEnds }),
        ),
        h("p", { class: "offer-words" }, excerpt(item)),
        h(
          "div",
          { class: "offer-buttons" },
          h("button", { type: "button", class: "quiet", "data-key": `decline ${item.id}`, onclick: () => decline(item.id) }, "Decline"),
          h("button", { type: "button", class: "accept", "data-key": `accept ${item.id}`, onclick: () => accept(item.id) }, "Accept"),
        ),
        h("progress", { class: "drain", "aria-hidden": "true", max: item.offerSeconds, value: item.offerSeconds, "data-until": item.offerEnds }),
      ),
    ),
  );
}

export function drawConversations(state, open) {
  const items = opened(state);
  refresh(
    $("conversations"),
    items.map((item) => {
      const since = waitingSince(item);
      const unread = state.unread[item.id] ?? 0;
      const status =
        item.slot === "wrapup"
          ? h("span", { class: "wrap-word" }, "wrap-up")
          : item.slot === "consulted"
          ? h("span", { class: "wrap-word" }, item.inConference ? "conference" : "advice")
          : since
            ? h("span", { class: "wait", "data-since": since, title: "Waiting for your answer" })
            : null;
      return h(
        "li",
        {},
        h(
          "button",
          {
            type: "button",
            class: "conversation",
            "data-key": item.id,
            "aria-current": item.id === state.selected ? "true" : undefined,
            onclick: () => open(item.id),
          },
          face(customerName(item)),
          h(
            "span",
            { class: "conversation-text" },
            h("span", { class: "conversation-top" }, h("strong", {}, customerName(item)), status),
            h("span", { class: "excerpt" }, excerpt(item)),
          ),
          unread ? h("span", { class: "unread", "aria-label": `${unread} unread` }, String(unread)) : null,
        ),
      );
    }),
  );
  $("quiet").textContent = items.length ? "" : "No conversations yet.";
  $("nothing-text").textContent = invitation(state);
}

function invitation(state) {
  const [ringing] = offers(state);
  if (ringing) return `${customerName(ringing)} is waiting for you to accept.`;
  if (opened(state).length) return "Choose a conversation.";
  const isAvailable = me(state).state === "Available";
  return isAvailable ? "You're available. The next customer will ring here." : "Set yourself to Available to take conversations.";
}

function excerpt(item) {
  const last = item.transcript.at(-1);
  if (!last) return "";
  const words = last.text.trim().split("\n").filter(Boolean).at(-1) ?? "";
  const text = words || (last.attachments.length ? `File: ${last.attachments[0].fileName}` : "");
  return last.senderType === "customer" ? text : `${last.senderType === "agent" ? last.agentName : "Flow"}: ${text}`;
}

export function drawDetails(conversation) {
  if (!conversation) {
    $("details").replaceChildren();
    return;
  }
  const variables = Object.entries(conversation.globalVariables);
  refresh($("details"), [
    h("h2", {}, "Customer"),
    facts([
      ["Name", customerName(conversation)],
      ["Reached", conversation.destination],
      ["Channel", conversation.channel],
      ["Queue", conversation.queue ?? "none"],
      ["Started", new Date(conversation.createdTime).toLocaleString([], { dateStyle: "medium", timeStyle: "short" })],
      ["Customer id", conversation.origin.id],
    ]),
    h("h2", {}, "Variables"),
    variables.length ? facts(variables) : h("p", { class: "hint" }, "None were set."),
  ]);
}

const facts = (pairs) => h("dl", {}, pairs.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));

/** Where the open conversation can go; `act(action, to)` carries it out. */
export function drawTransferChoices(state, act) {
  const button = (action, to, ...content) => h("button", { type: "button", onclick: () => act(action, to) }, ...content);
  refresh(
    $("transfer-queues"),
    Object.entries(state.waiting).map(([queue, { count }]) =>
      h("li", {}, button("transfer", `queue:${queue}`, h("strong", {}, queue), h("span", {}, `${count} waiting`))),
    ),
  );
  refresh(
    $("transfer-agents"),
    state.agents
      .filter((agent) => agent.id !== state.agentId)
      .map((agent) => {
        const [to, isBusy] = [`agent:${agent.id}`, agent.state !== "Available"];
        return h(
          "li",
          { class: "person" },
          face(agent.name),
          h("div", { class: "person-text" }, h("strong", {}, agent.name), h("span", {}, STATE_WORDS[agent.state])),
          h("button", { type: "button", class: "quiet", disabled: isBusy, "aria-label": `Consult ${agent.name}`, onclick: () => act("consult", to) }, "Consult"),
          h("button", { type: "button", disabled: isBusy, "aria-label": `Transfer to ${agent.name}`, onclick: () => act("transfer", to) }, "Transfer"),
        );
      }),
  );
}

/** The strip about the second agent of a conversation, as either of the two sees it. */
export function drawSecond(state, conversation, act) {
  const secondId = conversation?.slot === "wrapup" ? null : conversation?.consultedAgentId;
  $("second").hidden = !secondId;
  if (!secondId) return;
  const isMine = conversation.slot === "connected";
  const other = agentName(state, isMine ? secondId : conversation.agentId);
  const { inConference } = conversation;
  $("second-words").textContent = inConference
    ? `You and ${other} both write to ${customerName(conversation)}.`
    : isMine
      ? `${other} reads along. ${customerName(conversation)} sees nothing of it.`
      : `${other} asks for your advice. You can read; ${customerName(conversation)} does not see you.`;
  const button = (label, action, more, look = "quiet") =>
    h("button", { type: "button", class: look, "data-key": label, onclick: () => act(action, more) }, label);
  refresh($("second-actions"), [
    ...(isMine && !inConference ? [button("Bring in", "confer", {})] : []),
    ...(isMine ? [button("Hand over", "transfer", { to: `agent:${secondId}` })] : []),
    button(isMine ? (inConference ? "End conference" : "End consultation") : "Leave", "leave", {}),
  ]);
}

/** The wrap-up codes; a choice stays until another conversation is shown. */
export function drawCodes(state, conversation) {
  const shown = conversation?.slot === "wrapup" ? conversation.id : "";
  if ($("codes").dataset.shown === shown) return;
  $("codes").dataset.shown = shown;
  $("codes").replaceChildren(
    ...state.wrapUpCodes.map((code, index) =>
      h("label", {}, h("input", { type: "radio", name: "code", value: code.id, checked: index === 0 }), h("span", {}, code.name)),
    ),
  );
}

/** Bring every running time on the page up to date; `now` is the server's time in epoch ms. */
export function drawTimes(now) {
  document.querySelectorAll("[data-since]").forEach((element) => {
    const waited = now - Number(element.dataset.since);
    element.textContent = duration(waited);
    element.classList.toggle("long", waited > 60000);
  });
  document.querySelectorAll("[data-until]").forEach((element) => {
    const left = Math.max(0, (Number(element.dataset.until) - now) / 1000);
    if (element.tagName === "PROGRESS") element.value = left;
    else element.textContent = String(Math.ceil(left));
  });
}

export function drawTitle(state) {
  const ringing = isWorking(state) ? offers(state) : [];
  const unread = Object.values(state.unread).reduce((sum, count) => sum + count, 0);
  if (ringing.length) document.title = `☎ ${customerName(ringing[0])} is calling · Agent desktop`;
  else document.title = `${unread ? `(${unread}) ` : ""}Agent desktop`;
}
