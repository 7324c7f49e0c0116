// The agent desktop: wires state, views and connection together.

import { drawChat, showProblem } from "./chat.js";
import * as composer from "./composer.js";
import { $ } from "./dom.js";
import { act, Live } from "./live.js";
import { allowSound, setRinging, tick } from "./sound.js";
import { current, customerName, initialState, isWorking, offers, reduce, select } from "./state.js";
import * as view from "./view.js";

const store = sessionStorage;
let state = { ...initialState(), agentId: store.getItem("agent") ?? "", selected: store.getItem("selected") ?? "" };
let soundOn = store.getItem("sound") !== "off";
/** The conversation just opened: its composer gets the focus once it is there, which may be after the answer to `accept`. */
let toWriteIn = "";

const serverNow = () => Date.now() + state.clockOffset;

const live = new Live(
  (update) => {
    announce(update);
    set(reduce(state, update, Date.now()));
  },
  (isUp) => {
    $("connection").hidden = isUp || !state.live;
  },
);

function set(next) {
  const chatChanged = next.selected !== state.selected;
  state = next;
  store.setItem("agent", state.agentId);
  store.setItem("selected", state.selected);
  draw();
  if (chatChanged) {
    showProblem("");
    closeDetails();
  }
  if (toWriteIn && current(state)?.id === toWriteIn && !$("composer").hidden) {
    toWriteIn = "";
    $("text").focus();
  }
}

function draw() {
  const working = isWorking(state);
  $("picker").hidden = working || !state.live;
  $("desk").hidden = !working;
  setRinging(working && soundOn && offers(state).length > 0);
  view.drawTitle(state);
  if (!working) {
    view.drawPicker(state, logIn);
    return;
  }
  const conversation = current(state);
  $("desk").classList.toggle("has-open", Boolean(conversation));
  view.drawBar(state, soundOn);
  view.drawOffers(state, accept, (taskId) => onTask(taskId, "decline"));
  view.drawConversations(state, open);
  view.drawDetails(conversation);
  drawChat(conversation);
  view.drawSecond(state, conversation, (action, more) => onTask(state.selected, action, more));
  view.drawCodes(state, conversation);
  composer.takeUp(conversation?.id ?? "");
  if (conversation) composer.useRules(conversation.policy);
  view.drawTimes(serverNow());
}

/** Tell people who do not look at the right spot: by live regions, by sound. */
function announce(update) {
  if (update.type === "message" && update.message.senderType === "customer") {
    const conversation = state.conversations.find((item) => item.id === update.taskId);
    if (conversation) $("announce").textContent = `${customerName(conversation)}: ${update.message.text}`;
    if (soundOn) tick();
  }
  if (update.conversations) {
    const known = new Set(state.conversations.map((item) => item.id));
    const fresh = update.conversations.find((item) => item.slot === "offered" && !known.has(item.id));
    if (fresh) $("announce-now").textContent = `Incoming conversation from ${customerName(fresh)}`;
  }
}

async function attempt(work) {
  try {
    showProblem("");
    await work();
    return true;
  } catch (error) {
    showProblem(error.message);
    return false;
  }
}

const onTask = (taskId, action, more = {}) => attempt(() => act(state.agentId, action, { taskId, ...more }));

async function accept(taskId) {
  if (await onTask(taskId, "accept")) open(taskId);
}

async function logIn(agentId) {
  allowSound();
  if (!(await attempt(() => act(agentId, "login")))) return;
  set({ ...initialState(), agents: state.agents, waiting: state.waiting, agentId });
  live.follow(agentId);
}

async function logOut() {
  if (!(await attempt(() => act(state.agentId, "logout")))) return;
  set({ ...state, agentId: "", selected: "" });
  live.follow("");
}

function open(taskId) {
  toWriteIn = taskId;
  set(select(state, taskId));
}

function closeDetails() {
  $("desk").classList.remove("shows-details");
  $("show-details").setAttribute("aria-expanded", "false");
}

function listen() {
  addEventListener("pointerdown", allowSound);
  addEventListener("keydown", allowSound);
  $("presence").addEventListener("change", (event) =>
    attempt(() => act(state.agentId, "state", { state: event.target.value })),
  );
  $("back-available").addEventListener("click", () => attempt(() => act(state.agentId, "state", { state: "Available" })));
  $("logout").addEventListener("click", logOut);
  $("sound").addEventListener("click", () => {
    soundOn = !soundOn;
    store.setItem("sound", soundOn ? "on" : "off");
    draw();
  });
  $("back").addEventListener("click", () => open(""));
  $("show-details").addEventListener("click", () => {
    const shown = $("desk").classList.toggle("shows-details");
    $("show-details").setAttribute("aria-expanded", String(shown));
  });
  addEventListener("keydown", (event) => event.key === "Escape" && closeDetails());
  composer.listen((taskId, body) => act(state.agentId, "say", { taskId, ...body }));
  $("transfer").addEventListener("click", () => {
    view.drawTransferChoices(state, async (action, to) => {
      $("transfer-dialog").close();
      await onTask(state.selected, action, { to });
    });
    $("transfer-dialog").showModal();
  });
  $("end").addEventListener("click", () => {
    $("end-dialog").returnValue = "";
    $("end-dialog").showModal();
    $("end-confirm").focus();
  });
  $("end-dialog").addEventListener("close", () => {
    if ($("end-dialog").returnValue === "end") onTask(state.selected, "end");
  });
  $("wrapup").addEventListener("submit", (event) => {
    event.preventDefault();
    onTask(state.selected, "wrapup", { code: new FormData($("wrapup")).get("code") ?? "" });
  });
  setInterval(() => view.drawTimes(serverNow()), 500);
}

listen();
live.follow(state.agentId);
