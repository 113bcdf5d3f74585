// Further photos: the tiles of the next page are added to this page when its link comes near or is pressed. The address
// stays the same. The search by an upload has no address, so a form asks for its next page.
import { fetchAnswer, makeError, describeError } from "./fetch.js";
import { fadeIn } from "./fade.js";
import { say } from "./say.js";
import { number, t } from "./words.js";

const photos = document.getElementById("photos");
const pager = document.getElementById("more");
const further = pager?.querySelector("a, button");
const NEAR = "100%"; // distance below the window at which the link counts as near, in window heights
let under_way = null;

export let pages = 0; // how many pages were added to this one

export const hasMore = () => Boolean(further?.isConnected);

/**
 * Return a promise of the added tiles; it holds none if there are no more photos, and rejects if they cannot be loaded.
 * There is one request at a time.
 */
export function loadMore() {
  if (!hasMore()) return Promise.resolve([]);
  under_way ??= load().finally(() => { under_way = null; });
  return under_way;
}

async function load() {
  pager.classList.add("loading");
  try {
    const page = await fetched();
    const tiles = join(page);
    pages += 1;
    follow(page.querySelector("#more :is(a, button)"));
    report(page.getElementById("photos"));
    return tiles;
  } finally {
    pager.classList.remove("loading");
  }
}

async function fetched() {
  const answer = await (further.form ? fetchAnswer(further.form.action, { method: "POST", body: asked(further) }) : fetchAnswer(further.href));
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  if (answer.ok) return page;
  throw makeError(answer, page.querySelector(".notice.error")?.textContent);
}

function asked(button) {
  const form = new FormData(button.form);
  form.set(button.name, button.value);
  return form;
}

function join(page) {
  const known = new Set([...photos.querySelectorAll("a.photo")].map((photo) => photo.dataset.id));
  const tiles = [];
  for (const list of page.querySelectorAll("#photos .grid")) {
    const into = listFor(list);
    for (const tile of [...list.children]) {
      const photo = tile.querySelector("a.photo");
      if (known.has(photo.dataset.id)) continue; // the index changed between the two pages
      into.append(tile);
      if (tile.matches(".tile")) tiles.push(tile);
    }
  }
  tiles.forEach(fadeIn);
  return tiles;
}

/** Return the list that these hits continue; a new one with its heading if they are the first loosely similar hits. */
function listFor(list) {
  const lists = photos.querySelectorAll(".grid");
  const last = lists[lists.length - 1];
  if (last.dataset.matches === list.dataset.matches) return last;
  const heading = list.previousElementSibling;
  const own = list.cloneNode(false);
  photos.append(...(heading?.matches(".divider") ? [heading] : []), own);
  return own;
}

function follow(next) {
  if (!next) pager.remove();
  else if (further.form) further.value = next.value;
  else further.href = next.href;
}

function report(theirs) {
  photos.dataset.last = theirs?.dataset.last ?? photos.dataset.last;
  const [first, last, of] = [photos.dataset.first, photos.dataset.last, photos.dataset.of].map(Number);
  document.getElementById("range").textContent = `${number(first)}–${number(last)}`;
  say(t("Photos {first} to {last} of {of} are shown.", { first, last, of }));
}

// The link is pressed or comes near

function showProblem(error) {
  const box = document.createElement("p");
  box.className = "notice error";
  box.setAttribute("role", "alert");
  box.append(t("No more photos could be loaded."), " ", describeError(error));
  pager.querySelector(".notice")?.remove();
  pager.prepend(box);
  further.textContent = t("Try again");
}

function clearProblem() {
  pager.querySelector(".notice")?.remove();
  further.textContent = t("More photos");
}

const hasFailed = () => Boolean(pager.querySelector(".notice"));

async function pressed(event) {
  if (event.ctrlKey || event.metaKey || event.shiftKey) return; // opens another tab or window
  event.preventDefault();
  clearProblem();
  const focused = document.activeElement === further;
  try {
    const [first] = await loadMore();
    if (focused) first?.querySelector("a.photo").focus({ preventScroll: true });
  } catch (error) {
    showProblem(error);
  }
}

function watch() {
  const observer = new IntersectionObserver(async (entries) => {
    // A busy browser reports several moments at once: the last one is the present.
    if (!entries.at(-1).isIntersecting || hasFailed()) return;
    try {
      await loadMore();
    } catch (error) {
      return showProblem(error);
    }
    observer.unobserve(pager); // observing again reports whether the link is still near
    if (hasMore()) observer.observe(pager);
  }, { rootMargin: `0px 0px ${NEAR}` });
  observer.observe(pager);
}

if (further) {
  further.addEventListener("click", pressed);
  // Nothing is loaded before somebody scrolls, because most people look at the first photos only.
  window.addEventListener("scroll", watch, { once: true, passive: true });
}
