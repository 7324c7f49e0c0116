// Test chat: the newest line is in view, a sent message leaves the field, what was unfolded stays so.
const toTheEnd = () => {
  const talk = document.querySelector(".talk");
  if (talk) talk.scrollTop = talk.scrollHeight;
};
toTheEnd();
let unfolded = false;
document.body.addEventListener("htmx:beforeSwap", () => (unfolded = document.getElementById("log").open));
document.body.addEventListener("htmx:afterSettle", () => {
  document.getElementById("log").open = unfolded;
  toTheEnd();
});
document.body.addEventListener("htmx:afterRequest", (event) => {
  const { successful, requestConfig } = event.detail;
  if (!successful || requestConfig.verb !== "post") return;
  const field = document.getElementById("text");
  if (requestConfig.elt.id === "composer") field.value = "";
  field.focus();
});
