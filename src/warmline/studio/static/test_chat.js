// Test chat: the newest line is in view and read out, a sent message leaves the field, what was unfolded stays so.
const box = document.querySelector(".talk");
const lines = () => [...box.querySelectorAll(".line")];
let known = lines().length;
let unfolded = false;
box.scrollTop = box.scrollHeight;

document.body.addEventListener("htmx:beforeSwap", () => (unfolded = document.getElementById("log").open));
document.body.addEventListener("htmx:afterSettle", () => {
  document.getElementById("log").open = unfolded;
  const fresh = lines().slice(known);
  if (!fresh.length) return;
  known += fresh.length;
  document.getElementById("heard").textContent = fresh.map((line) => line.textContent).join(" ");
  box.scrollTop = box.scrollHeight;
});
document.body.addEventListener("htmx:afterRequest", (event) => {
  const { successful, requestConfig } = event.detail;
  if (!successful || requestConfig.verb !== "post") return;
  const field = document.getElementById("text");
  if (requestConfig.elt.id === "composer") field.value = "";
  field.focus();
});
