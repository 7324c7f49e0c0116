// The little that pages need beside htmx: copy buttons, and the menu of narrow windows.
document.addEventListener("click", async (event) => {
  const button = event.target.closest("button[data-copy]");
  if (!button) return;
  const input = document.getElementById(button.dataset.copy);
  input.select();
  try {
    await navigator.clipboard.writeText(input.value);
  } catch {
    return; // Not allowed here: the text is selected, so the keyboard copies it.
  }
  const before = button.innerHTML;
  button.textContent = button.dataset.done;
  setTimeout(() => (button.innerHTML = before), 1500);
});

const menu = document.querySelector("details.menu");
const narrow = matchMedia("(max-width: 52rem)");
const fold = () => menu && (menu.open = !narrow.matches);
narrow.addEventListener("change", fold);
fold();

document.body.addEventListener("htmx:afterSettle", (event) => {
  const result = document.querySelector("#result .verdicts");
  if (result && event.detail.target.id === "content") document.getElementById("result").focus();
});

// What went wrong with the parts that load by themselves, until one loads again. It does not take the place of what went
// wrong with something that was done by hand.
const trouble = document.getElementById("trouble");
const tell = (text, byItself = false) => {
  const shown = trouble.firstElementChild;
  if (trouble.textContent === text || (byItself && shown && !shown.hasAttribute("data-by-itself"))) return;
  const box = document.createElement("p");
  box.className = "alert bad";
  box.setAttribute("role", "alert");
  box.toggleAttribute("data-by-itself", byItself);
  box.textContent = text;
  trouble.replaceChildren(box);
};
document.body.addEventListener("htmx:sendError", (event) => {
  const { elt, requestConfig } = event.detail;
  const { stale, unread, unsent } = trouble.dataset;
  if (elt.hasAttribute("hx-trigger")) tell(stale, true);
  else tell(requestConfig.verb === "get" ? unread : unsent);
});
document.body.addEventListener("htmx:beforeSwap", (event) => {
  const { xhr } = event.detail;
  if (xhr.getResponseHeader("HX-Retarget") !== "#trouble") trouble.replaceChildren();
  else if (trouble.firstElementChild?.outerHTML === xhr.responseText.trim()) event.detail.shouldSwap = false;
});

// Add action: what is picked goes to where the caret is.
document.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-insert]");
  if (!button) return;
  const area = document.getElementById(button.dataset.into);
  const before = area.value.slice(0, area.selectionStart);
  const text = (before && !/\s$/.test(before) ? " " : "") + button.dataset.insert;
  area.setRangeText(text, area.selectionStart, area.selectionEnd, "end");
  area.dispatchEvent(new Event("input", { bubbles: true }));
  area.focus();
});

// The widget's preview follows the form, a moment after the last key.
const look = document.querySelector("form[data-preview]");
if (look) {
  const frame = document.getElementById(look.dataset.preview);
  let timer = 0;
  const follow = () => {
    const values = new URLSearchParams(new FormData(look));
    values.delete("form_token");
    frame.src = `${frame.dataset.base}?${values}`;
  };
  look.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(follow, 600);
  });
  follow();
  document.querySelectorAll("button[data-size]").forEach((button, _, all) =>
    button.addEventListener("click", () => {
      frame.classList.toggle("phone", button.dataset.size === "phone");
      all.forEach((other) => other.setAttribute("aria-pressed", String(other === button)));
    }),
  );
}
