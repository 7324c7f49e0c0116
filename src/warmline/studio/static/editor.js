// The source editor: a plain text field with colours, line numbers and the checker's remarks drawn behind it.
import { mark } from "./marks.js";

const PYTHON =
  /(?<comment>#.*)|(?<string>(?<!\w)(?:[rbuf]{1,2})?(?:"""[^]*?(?:"""|$)|'''[^]*?(?:'''|$)|"(?:\\.|[^"\\\n])*"?|'(?:\\.|[^'\\\n])*'?))|(?<mark>@[\w.]+)|(?<=\b(?:def|class)\s+)(?<name>\w+)|\b(?<word>and|as|assert|async|await|break|case|class|continue|def|del|elif|else|except|finally|for|from|global|if|import|in|is|lambda|match|nonlocal|not|or|pass|raise|return|try|while|with|yield)\b|\b(?<number>True|False|None|\d[\w.]*)\b/gi;
const YAML_LINE = /^(?<lead>\s*(?:- +)*)(?<name>[\w.-]+)(?=:(?:\s|$))/;
const YAML_REST = /(?<comment>(?<=^|\s)#.*)|(?<mark>\{\{[^{}]*\}\})|(?<string>"(?:\\.|[^"\\])*"?|'(?:''|[^'])*'?)|(?<=[:\-[,]\s*)(?<number>true|false|null|-?\d[\d.]*)(?=\s*(?:$|[,\]#]))/g;
const REFERENCE = /(?<mark>\{\{[^{}]*\}\})/g;
const MOST = 100_000; // Characters beyond which a file is shown without colours.

const escaped = (text) => text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");

// A piece may run over several lines; each line gets a span of its own.
const span = (kind, text) =>
  text
    .split("\n")
    .map((line) => (line ? `<span class="${kind}">${escaped(line)}</span>` : ""))
    .join("\n");

function coloured(text, pattern, plain = escaped) {
  let html = "";
  let end = 0;
  for (const found of text.matchAll(pattern)) {
    const [kind, piece] = Object.entries(found.groups).find(([, value]) => value !== undefined);
    html += plain(text.slice(end, found.index)) + span(`t-${kind}`, piece);
    end = found.index + found[0].length;
  }
  return html + plain(text.slice(end));
}

// Lines of a block (after `|` or `>`) are text, whatever they look like.
function colouredYaml(text) {
  let block = -1;
  return text
    .split("\n")
    .map((line) => {
      const indent = line.search(/\S/);
      if (block >= 0 && (indent < 0 || indent > block)) {
        return coloured(line, REFERENCE, (part) => (part ? span("t-string", part) : ""));
      }
      block = /(?:^|[:\-]\s+)[|>][+\-\d]*\s*(?:#.*)?$/.test(line) ? indent : -1;
      const key = YAML_LINE.exec(line);
      if (!key) return coloured(line, YAML_REST);
      const { lead, name } = key.groups;
      return escaped(lead) + span("t-name", name) + coloured(line.slice(key[0].length), YAML_REST);
    })
    .join("\n");
}

const LANGUAGES = {
  python: { unit: 4, colour: (text) => coloured(text, PYTHON), opens: /:\s*(?:#.*)?$/ },
  yaml: { unit: 2, colour: colouredYaml, opens: /:\s*(?:[|>][+\-\d]*)?\s*$/ },
};

function replace(area, from, to, text) {
  area.setSelectionRange(from, to);
  // Only this keeps what Ctrl+Z brings back.
  if (!document.execCommand(text ? "insertText" : "delete", false, text)) {
    area.setRangeText(text, from, to, "end");
    area.dispatchEvent(new Event("input", { bubbles: true }));
  }
}

function indent(area, unit, back) {
  const { value, selectionStart: start, selectionEnd: end } = area;
  const from = value.lastIndexOf("\n", start - 1) + 1;
  if (!back && start === end) {
    replace(area, start, end, " ".repeat(unit - ((start - from) % unit)));
    return;
  }
  const ending = value.indexOf("\n", end > start && value[end - 1] === "\n" ? end - 1 : end);
  const to = ending < 0 ? value.length : ending;
  const lines = value.slice(from, to).split("\n");
  const moved = lines.map((line) =>
    back ? line.replace(new RegExp(`^(?: {1,${unit}}|\t)`), "") : line && " ".repeat(unit) + line,
  );
  const text = moved.join("\n");
  if (text === value.slice(from, to)) return;
  replace(area, from, to, text);
  if (start === end) area.setSelectionRange(...Array(2).fill(Math.max(from, start + text.length - (to - from))));
  else area.setSelectionRange(from, from + text.length);
}

function newLine(area, { unit, opens }) {
  const { value, selectionStart: start, selectionEnd: end } = area;
  const line = value.slice(value.lastIndexOf("\n", start - 1) + 1, start);
  const deeper = opens.test(line) ? " ".repeat(unit) : "";
  replace(area, start, end, "\n" + /^\s*/.exec(line)[0] + deeper);
}

// Draw anew only the lines that differ from those that are there: a long file has a thousand.
function change(place, there, lines) {
  let from = 0;
  while (from < lines.length && from < there.length && lines[from] === there[from]) from += 1;
  let same = 0;
  const most = Math.min(lines.length, there.length) - from;
  while (same < most && lines.at(-1 - same) === there.at(-1 - same)) same += 1;
  for (let gone = there.length - same - from; gone > 0; gone -= 1) place.children[from].remove();
  const fresh = document.createElement("template");
  const changed = lines.slice(from, lines.length - same);
  fresh.innerHTML = changed.map((line) => `<span class="inked">${line || " "}</span>`).join("");
  place.insertBefore(fresh.content, place.children[from] ?? null);
  return lines;
}

class Pane {
  constructor(pane) {
    this.area = pane.querySelector("textarea");
    this.ink = pane.querySelector(".ink");
    this.gutter = pane.querySelector(".gutter");
    this.language = LANGUAGES[pane.dataset.language];
    this.saved = document.querySelector(".unsaved:not([hidden])") ? null : this.area.value; // A refused text is not saved.
    this.remarks = new Map();
    this.drawn = [];
    this.counted = [];
    this.waiting = 0;
    pane.classList.add("live");
    this.area.addEventListener("input", () => this.draw());
    this.area.addEventListener("scroll", () => this.follow());
    new ResizeObserver(() => this.follow()).observe(this.area);
    if (!this.area.readOnly) this.listen();
    this.read();
  }

  listen() {
    let leaving = false;
    this.area.addEventListener("blur", () => (leaving = false));
    this.area.addEventListener("keydown", (event) => {
      if (event.isComposing || event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.key === "Tab" && !leaving) {
        event.preventDefault();
        indent(this.area, this.language.unit, event.shiftKey);
      } else if (event.key === "Enter" && !event.shiftKey) {
        event.preventDefault();
        newLine(this.area, this.language);
      }
      if (event.key !== "Shift") leaving = event.key === "Escape";
    });
  }

  // Take over what the checker's list says.
  read() {
    this.remarks.clear();
    for (const item of document.querySelectorAll("#findings li[data-line]")) {
      const line = Number(item.dataset.line) || 1;
      const remark = this.remarks.get(line) ?? { kind: item.className, texts: [], unknown: [] };
      remark.texts.push(item.dataset.text);
      if (item.dataset.words) remark.unknown.push(item.dataset.words.split("\n"));
      this.remarks.set(line, remark);
    }
    this.draw();
  }

  draw() {
    cancelAnimationFrame(this.waiting);
    this.waiting = requestAnimationFrame(() => {
      const text = this.area.value;
      const html = text.length > MOST ? escaped(text) : this.language.colour(text);
      const lines = html.split("\n");
      const drawn = lines.map((line, index) => this.line(line, this.remarks.get(index + 1)));
      this.drawn = change(this.ink, this.drawn, drawn);
      this.underline();
      this.counted = change(this.gutter, this.counted, lines.map((_, index) => this.number(index + 1)));
      this.follow();
      const unsaved = document.querySelector(".unsaved");
      if (unsaved) unsaved.hidden = text === this.saved;
    });
  }

  underline() {
    const wanted = [...this.remarks].flatMap(([line, { unknown }]) =>
      unknown.map((words) => ({ element: this.ink.children[line - 1], words })),
    );
    mark(wanted.filter(({ element }) => element));
  }

  number(line) {
    return `<span class="${this.remarks.get(line)?.kind ?? ""}">${line}</span>`;
  }

  line(html, remark) {
    if (!remark) return html;
    return `<span class="flagged ${remark.kind}">${html}<span class="remark">${escaped(remark.texts.join(" "))}</span></span>`;
  }

  follow() {
    this.ink.scrollTop = this.gutter.scrollTop = this.area.scrollTop;
    this.ink.scrollLeft = this.area.scrollLeft;
  }

  go(number) {
    const lines = this.area.value.split("\n");
    const at = Math.min(number, lines.length) - 1;
    const from = lines.slice(0, at).reduce((sum, line) => sum + line.length + 1, 0);
    this.area.focus({ preventScroll: true });
    this.area.setSelectionRange(from, from + lines[at].length);
    this.area.scrollTop = (this.area.scrollHeight / lines.length) * at - this.area.clientHeight / 3;
    this.area.scrollLeft = 0;
    this.area.scrollIntoView({ block: "nearest" });
  }
}

const pane = new Pane(document.querySelector(".pane"));
document.querySelectorAll(".keys, .plain").forEach((help) => (help.hidden = help.classList.contains("plain")));
document.body.addEventListener("htmx:afterSettle", (event) => {
  if (event.detail.target.id === "findings") pane.read();
});

const jump = (hash) => {
  const line = /^#line-(\d+)$/.exec(hash);
  if (line) pane.go(Number(line[1]));
};
document.addEventListener("click", (event) => {
  const link = event.target.closest('a[href^="#line-"]');
  if (!link) return;
  event.preventDefault(); // The same line twice is no change of the address.
  jump(link.hash);
});
jump(location.hash);
