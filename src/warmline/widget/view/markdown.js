/**
 * The Markdown subset and HTML allow-list of messaging-protocol.md §11 as a tree of plain objects. Pure.
 *
 * HTML blocks first become their Markdown, so that one pass over lines and one over the characters in them do.
 */

/** Elements that are dropped, their words kept; what only looks like a tag stays as it was written. */
const FOREIGN = /<\/?(?:audio|blockquote|body|button|center|del|details|div|dl|dt|dd|embed|font|form|h[1-6]|head|hr|html|iframe|img|input|label|link|math|meta|object|option|pre|s|select|span|sub|summary|sup|svg|table|tbody|td|textarea|th|thead|title|tr|u|video)\b[^>]*>/gi;
const SILENT = /<(script|style|template|noscript)\b[^>]*>[\s\S]*?(?:<\/\1\s*>|$)/gi;
const BLOCKS = /<(\/?)(p|br|ul|ol|li)\b[^>]*>/gi;
const ENTITIES = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'", nbsp: "\u00a0" };

const INLINE = new RegExp(
  [
    "(?<tick>`{1,3})(?<code>[^`]{1,2000}?)\\k<tick>",
    "\\[(?<label>[^\\[\\]]{1,500})\\]\\((?<target>[^\\s()]{1,2000}(?:\\([^\\s()]*\\)[^\\s()]*)?)\\)",
    "<a\\b(?<attributes>[^>]{0,3000})>(?<words>[\\s\\S]{0,1000}?)<\\/a\\s*>",
    "<(?<tag>b|i|em|strong|code)\\b[^>]{0,200}>(?<inside>[\\s\\S]{0,2000}?)<\\/\\k<tag>\\s*>",
    "(?<bold>\\*\\*|__)(?=\\S)(?<heavy>.{1,1000}?)(?<=\\S)\\k<bold>",
    "(?<![\\w*_])(?<mark>[*_])(?=[^\\s*_])(?<light>.{1,1000}?)(?<=[^\\s*_])\\k<mark>(?![\\w*_])",
    "(?<url>https?:\\/\\/[^\\s<>\"'`]{1,2000}[^\\s<>\"'`.,;:!?)\\]])",
  ].join("|"),
  "is",
);

const HTML_NAMES = { b: "strong", strong: "strong", i: "em", em: "em", code: "code" };

const decodeEntities = (text) =>
  text.replace(/&(?:#(\d{1,7})|#x([0-9a-f]{1,6})|(\w{2,4}));?/gi, (whole, decimal, hex, name) => {
    if (name) return ENTITIES[name.toLowerCase()] ?? whole;
    const code = decimal ? Number(decimal) : Number.parseInt(hex, 16);
    return code > 0 && code <= 0x10ffff ? String.fromCodePoint(code) : whole;
  });

/** Words without their last stray tags, such as a `</b>` that closes nothing. */
const words = (text) => decodeEntities(text.replace(/<\/?(?:a|b|i|em|strong|code)\b[^>]*>/gi, ""));

function inline(text, depth = 0) {
  const nodes = [];
  let rest = text;
  while (rest) {
    const match = depth < 8 ? INLINE.exec(rest) : null;
    if (!match) break;
    if (match.index) nodes.push(words(rest.slice(0, match.index)));
    nodes.push(node(match.groups, depth));
    rest = rest.slice(match.index + match[0].length);
  }
  if (rest) nodes.push(words(rest));
  return nodes;
}

function node(found, depth) {
  const nested = (text) => inline(text, depth + 1);
  if (found.code !== undefined) return { tag: "code", children: [found.code] };
  if (found.label !== undefined) return { tag: "a", href: decodeEntities(found.target), children: nested(found.label) };
  if (found.words !== undefined) {
    const href = /(?:^|\s)href\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s>]+))/i.exec(found.attributes);
    return { tag: "a", href: decodeEntities(href?.[1] ?? href?.[2] ?? href?.[3] ?? ""), children: nested(found.words) };
  }
  if (found.inside !== undefined) return { tag: HTML_NAMES[found.tag.toLowerCase()], children: nested(found.inside) };
  if (found.heavy !== undefined) return { tag: "strong", children: nested(found.heavy) };
  if (found.light !== undefined) return { tag: "em", children: nested(found.light) };
  return { tag: "a", href: decodeEntities(found.url), children: [decodeEntities(found.url)] };
}

function blocksToMarkdown(text) {
  const lists = [];
  return text.replace(BLOCKS, (_, closing, name) => {
    const tag = name.toLowerCase();
    if (tag === "br") return "\n";
    if (tag === "p") return "\n\n";
    if (tag === "li") return closing ? "" : lists.at(-1) === "ol" ? "\n1. " : "\n- ";
    if (closing) lists.pop();
    else lists.push(tag);
    return "\n\n";
  });
}

const LIST = /^\s{0,6}(?:[-*+•]|(\d{1,3})[.)])\s+(.*)$/;

function lines(text) {
  const tree = [];
  let block = null;
  const open = (tag, children, start = null) => tree.push((block = { tag, start, children }));
  for (const line of text.split("\n")) {
    const item = LIST.exec(line);
    if (!line.trim()) {
      if (block?.tag === "p") block = null;
    } else if (item) {
      const tag = item[1] ? "ol" : "ul";
      if (block?.tag !== tag) open(tag, [], item[1]);
      block.children.push({ tag: "li", children: inline(item[2]) });
    } else {
      const heading = /^#{1,6}\s+(.*)$/.exec(line);
      const content = heading ? [{ tag: "strong", children: inline(heading[1]) }] : inline(line.trim());
      if (block?.tag === "p") block.children.push({ tag: "br", children: [] }, ...content);
      else open("p", content);
    }
  }
  return tree;
}

/**
 * @param {string} text what an agent wrote
 * @returns {{tag: string, href?: string, start?: string, children: (object | string)[]}[]} tags: p, ul, ol, li, br, strong, em, code,
 *   pre, a; an `href` is as written and still has to be judged
 */
export function parseMarkdown(text) {
  const parts = text.replace(/\r\n?/g, "\n").split(/^```[^\n]*\n([\s\S]*?)(?:\n```[ \t]*$|\n?$(?![\s\S]))/m);
  return parts.flatMap((part, index) =>
    index % 2
      ? [{ tag: "pre", children: [{ tag: "code", children: [part] }] }]
      : lines(blocksToMarkdown(part.replace(SILENT, "").replace(FOREIGN, ""))),
  );
}
