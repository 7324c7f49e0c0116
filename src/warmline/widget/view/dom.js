/** Building DOM without markup strings, so that nothing anybody wrote can become an element. */

const SVG = "http://www.w3.org/2000/svg";

/**
 * @param {string} tag
 * @param {object} [props] `class`, `text`, `on` (listeners by event); everything else is an attribute, left out when
 *   null or false
 * @param {...(Node | string | null)} children
 */
export function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (name === "on") for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
    else if (name === "text") element.textContent = value;
    else if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

const STROKES = {
  close: "M6 6l12 12M18 6L6 18",
  fold: "M6 9.5l6 6 6-6",
  menu: "M12 4.8a.7.7 0 1 0 .01 0ZM12 11.3a.7.7 0 1 0 .01 0ZM12 17.8a.7.7 0 1 0 .01 0Z",
  attach: "M20 11l-8 8a5 5 0 0 1-7-7l8-8a3 3 0 0 1 5 5l-8 8a1.5 1.5 0 0 1-2-2l7-7",
  send: "M12 19V5.5M6 11l6-6 6 6",
  down: "M12 5v14M6 13l6 6 6-6",
  check: "M5 12.5l4.5 4.5L19 7.5",
  checks: "M2 12.5l4.5 4.5L16 7.5M11.5 16l1 1L22 7.5",
  phone: "M6.5 4h3l1.5 4-2 1.5a11 11 0 0 0 5.5 5.5L16 13l4 1.5v3c0 1.1-.9 2-2 2C10.8 19.5 4.5 13.2 4.5 6c0-1.1.9-2 2-2Z",
  link: "M10 14L20 4M14 4h6v6M19 14v4a2 2 0 0 1-2 2H6a2 2 0 0 1-2-2V7a2 2 0 0 1 2-2h4",
  virtual: "M12 4v3M7 7h10a3 3 0 0 1 3 3v5a3 3 0 0 1-3 3h-5l-4 3v-3H7a3 3 0 0 1-3-3v-5a3 3 0 0 1 3-3ZM9.5 12v1M14.5 12v1",
  person: "M12 12a4 4 0 1 0 0-8 4 4 0 0 0 0 8ZM4.5 20.5c.8-3.6 3.8-5.5 7.5-5.5s6.7 1.9 7.5 5.5",
};

/** @param {keyof typeof STROKES} name */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  const path = document.createElementNS(SVG, "path");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  path.setAttribute("d", STROKES[name]);
  svg.append(path);
  return svg;
}

/**
 * @param {string} value an address somebody wrote
 * @param {string[]} schemes allowed ones, with the colon
 * @returns {string | null} the absolute address, or null when it must not become a link
 */
export function safeUrl(value, schemes = ["http:", "https:"]) {
  try {
    const url = new URL(value);
    return schemes.includes(url.protocol) ? url.href : null;
  } catch {
    return null;
  }
}

/** Without the characters that make a text read in another order than it is (a trick with file names). */
export const plain = (text) => text.replace(/[\u202a-\u202e\u2066-\u2069]/g, "");

export const externalLink = { target: "_blank", rel: "noopener noreferrer" };

/** A round picture; where there is none, or it does not load, initials or a symbol. */
export function avatar({ author, name, image }) {
  const initials = author === "live" && name ? name.trim().split(/\s+/).slice(0, 2).map((word) => [...word][0]).join("") : "";
  const circle = h("span", { class: `avatar ${author}`, "aria-hidden": "true" });
  const fallback = () => circle.replaceChildren(initials ? initials.toUpperCase() : icon(author === "live" ? "person" : "virtual"));
  const address = image && safeUrl(image);
  if (!address) {
    fallback();
    return circle;
  }
  circle.append(h("img", { src: address, alt: "", referrerpolicy: "no-referrer", on: { error: fallback } }));
  return circle;
}
