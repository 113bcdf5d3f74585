// The texts of the scripts in the language of the page: t("Photo {n}", {n: 3}). app/templates/_words.html holds them.
const words = JSON.parse(document.getElementById("words").textContent);
const { lang } = document.documentElement;

export const locale = lang === "en" ? "en-GB" : lang; // for numbers and dates: 31 May 2024

export function t(text, values = {}) {
  return (words[text] ?? text).replace(/\{(\w+)\}/g, (_, name) => written(values[name]));
}

const written = (value) => (typeof value === "number" ? number(value) : value);

export function number(value, options) {
  return value.toLocaleString(locale, options);
}
