// The panel beside a photo with all that is known about it. Everything is set as text, because it comes from files of
// other people.
import { fetchAnswer, makeError, describeError } from "./fetch.js";
import { encodePath } from "./photos.js";
import { keep, kept } from "./store.js";
import { locale, number, t } from "./words.js";

const NORTH = 84; // degrees of latitude at the upper and the lower edge of world.svg
const SOUTH = -58;
const REMEMBERED = "details";

export class Details {
  constructor(dialog) {
    this.dialog = dialog;
    this.panel = dialog.querySelector(".details");
    this.button = dialog.querySelector(".about");
    this.cache = new Map();
    this.button.addEventListener("click", () => this.toggle());
    dialog.querySelector(".copy").addEventListener("click", (event) => copyAddress(event.currentTarget));
    this.#open(kept(REMEMBERED) === "open");
  }

  toggle() {
    this.#open(this.panel.hidden);
    keep(REMEMBERED, this.panel.hidden ? "closed" : "open");
    this.#fill();
  }

  show(id, link) {
    this.id = id;
    this.link = link;
    this.dialog.querySelector(".like.action").href = this.dialog.dataset.similar + encodeURIComponent(id);
    this.#fill();
  }

  /** Return a promise of what the API knows about the photo; each photo is asked for once. */
  facts(id) {
    if (!this.cache.has(id)) {
      const asked = ask(this.dialog.dataset.api + encodePath(id));
      asked.catch(() => this.cache.delete(id));
      this.cache.set(id, asked);
    }
    return this.cache.get(id);
  }

  #open(open) {
    this.panel.hidden = !open;
    this.button.setAttribute("aria-expanded", open);
  }

  async #fill() {
    if (this.panel.hidden || !this.id) return;
    const { id, link } = this;
    const box = this.panel.querySelector(".facts");
    let shown;
    try {
      shown = list([...similarity(link), ...rows(await this.facts(id), this.dialog.dataset.world)]);
    } catch (error) {
      shown = element("p", { role: "alert" }, describeError(error));
    }
    if (id === this.id) box.replaceChildren(shown);
  }
}

async function ask(address) {
  const answer = await fetchAnswer(address);
  const body = await answer.json();
  if (!answer.ok) throw makeError(answer, body.error?.message);
  return body;
}

// Rows: [name, content]

function similarity(link) {
  if (!link?.dataset.words) return [];
  const { words, level, similarity: cosine } = link.dataset;
  const bar = element("span", { class: `nearness near-${level}`, "aria-hidden": "true" });
  return [[t("Similarity"), element("span", { class: "near" }, bar, `${words} `, minor(`(${cosine})`))]];
}

function rows(facts, world) {
  const [name, ...folders] = facts.image_id.split("/").reverse();
  const found = [
    [t("Title"), facts.title !== facts.caption && facts.title],
    [t("Headline"), facts.headline !== facts.caption && facts.headline],
    [t("Caption"), facts.caption],
    [t("Rating"), facts.rating && rating(facts.rating)],
    [t("Taken"), facts.taken && taken(facts)],
    [t("Camera"), camera(facts)],
    [t("Lens"), facts.lens],
    [t("Label"), facts.label],
    [t("Persons"), facts.persons?.length && chips(facts.persons)],
    [t("Keywords"), facts.keywords?.length && chips(facts.keywords)],
    ...Object.entries(facts.extra ?? {}),
    [t("Place"), place(facts, world)],
    [t("Altitude"), facts.altitude !== undefined && inUnits(facts.altitude, "meter", 0)],
    [t("File"), name],
    [t("Folder"), folders.reverse().join("/")],
    [t("Size"), size(facts)],
  ];
  return found.filter(([, content]) => content);
}

function camera({ camera_make: make = "", camera_model: model = "" }) {
  return model.toLowerCase().startsWith(make.toLowerCase()) ? model : `${make} ${model}`.trim();
}

function rating(stars) {
  if (stars < 0) return t("rejected");
  const shown = element("span", { "aria-hidden": "true" }, "★".repeat(stars) + "☆".repeat(5 - stars));
  return element("span", {}, shown, element("span", { class: "visually-hidden" }, t("{n} of 5 stars", { n: stars })));
}

/** Return when the photo was taken, and what says so. */
function taken({ taken: written, taken_by: by }) {
  const shown = date(written);
  if (by === "name") return t("{date}, by the name of the file", { date: shown });
  if (by === "sidecar") return t("{date}, by a file beside the photo", { date: shown });
  return by ? element("span", {}, `${shown} `, minor(by.toUpperCase())) : shown;
}

/** Return the time of the camera's own clock in words, with its offset from UTC if that is known. */
function date(taken) {
  const [, wall, zone] = /^([\d-]+(?:T[\d:.]+)?)(.*)$/.exec(taken) ?? [null, taken, ""];
  const time = new Date(wall.includes("T") ? `${wall}Z` : wall);
  if (Number.isNaN(time.getTime())) return taken;
  const shown = new Intl.DateTimeFormat(locale, { ...precision(wall), timeZone: "UTC" }).format(time);
  return zone ? `${shown} (UTC${zone === "Z" ? "" : zone})` : shown;
}

/** Return how to write a year, a month, a day or a time: no more of it than is known. */
function precision(wall) {
  if (wall.includes("T")) return { dateStyle: "long", timeStyle: "short" };
  const parts = wall.split("-").length;
  if (parts === 3) return { dateStyle: "long" };
  return parts === 2 ? { year: "numeric", month: "long" } : { year: "numeric" };
}

function size({ width, height, bytes: count }) {
  return t("{width} × {height} pixels, {bytes}", { width, height, bytes: bytes(count) });
}

function bytes(count) {
  if (count < 1e6) return inUnits(Math.max(1, count / 1e3), "kilobyte", 0);
  return inUnits(count / 1e6, "megabyte", 1);
}

function inUnits(value, unit, digits) {
  return number(value, { style: "unit", unit, minimumFractionDigits: digits, maximumFractionDigits: digits });
}

function place({ location: point, city, country }, world) {
  const name = [city, country].filter(Boolean).join(", ");
  if (!point) return name;
  return element("div", {}, ...(name ? [element("div", {}, name)] : []), ...onMap(point, world));
}

function onMap({ lat, lon }, world) {
  const dot = element("span");
  dot.style.left = `${(100 * (lon + 180)) / 360}%`;
  dot.style.top = `${Math.min(97, (100 * (NORTH - lat)) / (NORTH - SOUTH))}%`;
  const map = element("div", { class: "world" }, element("img", { src: world, width: 720, height: 284, alt: "" }), dot);
  const words = `${latitude(lat)}, ${longitude(lon)}`;
  return [map, element("a", { href: `geo:${lat},${lon}`, title: t("Open in a map application") }, words)];
}

function latitude(value) {
  const n = degrees(value);
  return value < 0 ? t("{n}° S", { n }) : t("{n}° N", { n });
}

function longitude(value) {
  const n = degrees(value);
  return value < 0 ? t("{n}° W", { n }) : t("{n}° E", { n });
}

const degrees = (value) => number(Math.abs(value), { minimumFractionDigits: 4, maximumFractionDigits: 4 });

// Elements

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

const minor = (text) => element("span", { class: "minor" }, text);

const chips = (words) => element("ul", { class: "keywords" }, ...words.map((word) => element("li", {}, word)));

function list(found) {
  const pairs = found.flatMap(([name, content]) => [element("dt", {}, name), element("dd", {}, content)]);
  return element("dl", {}, ...pairs);
}

// The address

async function copyAddress(button) {
  const said = button.querySelector("span");
  try {
    await copy(button);
    said.textContent = t("Copied");
  } catch {
    said.textContent = t("Copy it from the address bar");
  }
  setTimeout(() => { said.textContent = t("Copy link"); }, 2500);
}

async function copy(button) {
  if (navigator.clipboard) return navigator.clipboard.writeText(location.href);
  const field = element("textarea"); // without TLS, browsers offer the clipboard only to pages of their own machine
  field.value = location.href;
  button.after(field);
  field.select();
  const done = document.execCommand("copy");
  field.remove();
  button.focus();
  if (!done) throw new Error("not copied");
  return undefined;
}
