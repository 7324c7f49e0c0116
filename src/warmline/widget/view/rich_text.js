/** Puts a parsed message on the page. Only the tags named here exist, and only safe addresses become links. */

import { externalLink, h, safeUrl } from "./dom.js";
import { parseMarkdown } from "./markdown.js";

const TAGS = new Set(["p", "ul", "ol", "li", "br", "strong", "em", "code", "pre"]);
const SCHEMES = ["http:", "https:", "mailto:", "tel:"];

function build(node) {
  if (typeof node === "string") return node;
  const children = node.children.map(build);
  if (node.tag === "a") {
    const href = safeUrl(node.href, SCHEMES);
    return href ? h("a", { href, ...externalLink }, ...children) : h("span", {}, ...children);
  }
  return TAGS.has(node.tag) ? h(node.tag, { start: node.start }, ...children) : h("span", {}, ...children);
}

/** @param {string} text what an agent wrote @returns {Node[]} */
export const richText = (text) => parseMarkdown(text).map(build);

/** The words alone, for screen readers' announcements. */
export const spokenText = (text) => richText(text).map((node) => node.textContent).join(" ");
