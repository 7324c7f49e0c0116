// The topic editor: unknown names are underlined where they stand, and a button of the list leads to the place.
import { mark } from "./marks.js";

const fields = [...document.querySelectorAll("#topic .words")].map((box) => ({
  area: box.querySelector("textarea"),
  ink: box.querySelector(".ink"),
}));
const buttons = () => [...document.querySelectorAll("button[data-show]")];

function draw() {
  const wanted = [];
  for (const { area, ink } of fields) {
    ink.textContent = `${area.value}\n`;
    ink.scrollTop = area.scrollTop;
    const here = buttons().filter((button) => button.dataset.in === area.name);
    wanted.push(...here.map((button) => ({ element: ink, words: [button.dataset.show] })));
    if (here.length) area.setAttribute("aria-invalid", "true");
    else area.removeAttribute("aria-invalid");
  }
  mark(wanted);
}

for (const { area, ink } of fields) {
  area.addEventListener("input", draw);
  area.addEventListener("scroll", () => (ink.scrollTop = area.scrollTop));
}
document.body.addEventListener("htmx:afterSettle", draw);
document.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-show]");
  if (!button) return;
  const { area } = fields.find((field) => field.area.name === button.dataset.in);
  const start = area.value.indexOf(button.dataset.show);
  area.focus();
  if (start >= 0) area.setSelectionRange(start, start + button.dataset.show.length);
});
draw();
