// What scripts say, in the language of the page: t("Photo {n}", {n: 3}). app/templates/_words.html holds the texts.
const words = JSON.parse(document.getElementById("words").textContent);

export function t(text, values = {}) {
  return (words[text] ?? text).replace(/\{(\w+)\}/g, (_, name) => values[name]);
}
