// Words that nothing is known of are underlined where they stand, in the copy of a text that is drawn behind its field.
const underlined = typeof Highlight === "undefined" ? null : new Highlight();
if (underlined) CSS.highlights.set("unknown", underlined);

function pieces(element) {
  const walker = document.createTreeWalker(element, NodeFilter.SHOW_ELEMENT | NodeFilter.SHOW_TEXT, (node) =>
    node.nodeType === Node.TEXT_NODE
      ? NodeFilter.FILTER_ACCEPT
      : node.className === "remark"
        ? NodeFilter.FILTER_REJECT
        : NodeFilter.FILTER_SKIP,
  );
  const found = [];
  let start = 0;
  while (walker.nextNode()) {
    found.push({ node: walker.currentNode, start });
    start += walker.currentNode.length;
  }
  return found;
}

// Whole words only, so that `go` is not found in `goto`.
const whole = (word) => {
  const text = word.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&");
  return new RegExp(`${/^\w/.test(word) ? "(?<!\\w)" : ""}${text}${/\w$/.test(word) ? "(?!\\w)" : ""}`, "g");
};

function underline(element, word) {
  const found = pieces(element);
  const text = found.map(({ node }) => node.data).join("");
  const place = (offset) => found.findLast(({ start }) => start <= offset);
  let any = false;
  for (const match of text.matchAll(whole(word))) {
    const range = new Range();
    const [first, last] = [place(match.index), place(match.index + word.length - 1)];
    range.setStart(first.node, match.index - first.start);
    range.setEnd(last.node, match.index + word.length - last.start);
    underlined.add(range);
    any = true;
  }
  return any;
}

// Underline anew: of each element the first of its words that stands in it.
export function mark(wanted) {
  if (!underlined) return;
  underlined.clear();
  for (const { element, words } of wanted) words.find((word) => underline(element, word));
}
