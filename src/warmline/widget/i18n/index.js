/** The widget's words in the visitor's language. English is always there, also when another cannot be loaded. */

import en from "./en.js";

const TRANSLATED = ["en", "es", "de", "fr", "ar"];

const subtag = (tag) => String(tag).toLowerCase().split("-")[0];

/**
 * @param {string} assets address of the widget's files
 * @param {string[] | undefined} offered languages the widget was configured with, the default one first
 * @param {readonly string[]} wanted the visitor's languages, the best one first
 * @param {Record<string, string>} overrides the operator's own texts by key
 * @returns {Promise<Texts>}
 */
export async function loadTexts(assets, offered, wanted, overrides = {}) {
  const usable = (offered ?? []).map(subtag).filter((language) => TRANSLATED.includes(language));
  const available = usable.length ? usable : ["en"];
  const language = wanted.map(subtag).find((tag) => available.includes(tag)) ?? available[0];
  if (language === "en") return new Texts("en", { ...en, ...overrides });
  try {
    const words = (await import(`${assets}/i18n/${language}.js`)).default;
    return new Texts(language, { ...words, ...overrides });
  } catch {
    return new Texts("en", { ...en, ...overrides });
  }
}

export class Texts {
  /** @param {string} language a language subtag; @param {Record<string, string>} words by key */
  constructor(language, words) {
    this.language = language;
    this.words = words;
    this.direction = language === "ar" ? "rtl" : "ltr";
    const regional = navigator.language.startsWith(language) ? navigator.language : language;
    this.clock = new Intl.DateTimeFormat(regional, { hour: "numeric", minute: "2-digit" });
  }

  /** @returns {string} the text of `key` with its `{placeholders}` filled from `values` */
  get(key, values = {}) {
    return this.words[key].replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
  }

  /** @param {number | null} at milliseconds since the epoch */
  time(at) {
    return at ? this.clock.format(at) : "";
  }
}
