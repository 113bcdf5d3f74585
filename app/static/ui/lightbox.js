// The lightbox shows one large photo over the page. The address names the photo (#photo=…), so it can be shared, and the
// back button closes the lightbox. Without this script the link of a tile opens the photo itself.
import { addPhoto } from "./bar.js";
import { Details } from "./details.js";
import { hasMore, loadMore } from "./more.js";
import { choosePart } from "./crop.js";
import { encodePath, linkTo, photoLinks } from "./photos.js";
import { say } from "./say.js";
import { Stage } from "./zoom.js";
import { onSwipe } from "./swipe.js";
import { t } from "./words.js";

const MARK = "#photo=";
const NEAR_THE_END = 3; // photos before the last one: from there on, further photos are loaded

function photoInAddress() {
  if (!location.hash.startsWith(MARK)) return null;
  try {
    return decodeURIComponent(location.hash.slice(MARK.length));
  } catch {
    return null; // somebody typed a link with a wrong %
  }
}

class Lightbox {
  constructor(dialog) {
    this.dialog = dialog;
    this.stage = new Stage(dialog.querySelector(".stage"));
    this.details = new Details(dialog);
    this.id = null;
    this.#listen();
    this.follow();
  }

  /** Show the photo that the address names; close the lightbox if it names none. */
  follow() {
    const id = photoInAddress();
    if (id) this.show(id);
    else if (this.dialog.open) this.dialog.close();
  }

  open(id) {
    history.pushState({ ...history.state, lightbox: true }, "", MARK + encodePath(id));
    this.show(id);
  }

  show(id) {
    this.id = id;
    if (!this.dialog.open) this.dialog.showModal();
    const link = linkTo(id);
    this.#name(id);
    this.stage.show(link ? fromLink(link) : this.#fromElsewhere(id), this.#neighbours());
    this.details.show(id, link);
    this.#showWays();
  }

  /** Show the photo that is `count` places further, if there is one; a negative count leads back. */
  async step(count) {
    const links = photoLinks();
    const at = links.indexOf(linkTo(this.id));
    if (at < 0) return;
    if (at + count >= links.length - NEAR_THE_END) this.#askForMore();
    const to = links[at + count];
    if (!to) return;
    history.replaceState(history.state, "", MARK + encodePath(to.dataset.id));
    this.show(to.dataset.id);
  }

  #askForMore() {
    if (hasMore()) loadMore().then(() => this.#showWays(), () => {}); // the page itself reports a failure when it loads more
  }

  #neighbours() {
    const links = photoLinks();
    const at = links.indexOf(linkTo(this.id));
    return at < 0 ? [] : [links[at + 1], links[at - 1]].filter(Boolean).map((link) => link.href);
  }

  #name(id) {
    const name = id.split("/").pop();
    this.dialog.querySelector("#lightbox-name").textContent = name;
    const download = this.dialog.querySelector(".download");
    download.href = `${this.dialog.dataset.image}${encodePath(id)}?original`;
    download.download = name;
  }

  #showWays() {
    if (!this.dialog.open) return;
    const links = photoLinks();
    const at = links.indexOf(linkTo(this.id));
    const known = at >= 0;
    const all = hasMore() ? Number(document.getElementById("photos").dataset.of) : links.length;
    this.dialog.querySelector(".place").textContent = known ? t("{n} of {all}", { n: at + 1, all }) : "";
    this.#offer(".previous", known && at > 0);
    this.#offer(".next", known && at < links.length - 1);
    const said = known ? t("{photo}, photo {n} of {all}", { photo: this.id, n: at + 1, all: links.length }) : this.id;
    say(said, this.dialog.querySelector(".said"));
  }

  /** Show or hide a button. If a button with the focus is hidden, the close button gets the focus. */
  #offer(which, offered) {
    const button = this.dialog.querySelector(which);
    const focused = document.activeElement === button;
    button.hidden = !offered;
    if (focused && !offered) this.dialog.querySelector(".close").focus();
  }

  async #fromElsewhere(id) {
    const facts = await this.details.facts(id);
    return { src: facts.image_url, small: facts.thumbnail_url, width: facts.width, height: facts.height, alt: id };
  }

  #closed() {
    if (this.dialog.open) return; // the browser reports it later, and meanwhile the lightbox has opened again
    const link = linkTo(this.id);
    this.id = null;
    this.stage.clear();
    if (photoInAddress()) {
      if (history.state?.lightbox) history.back();
      else history.replaceState(history.state, "", location.pathname + location.search);
    }
    link?.focus();
  }

  #listen() {
    const { dialog } = this;
    document.addEventListener("click", (event) => this.#clicked(event));
    window.addEventListener("popstate", () => this.follow());
    dialog.addEventListener("close", () => this.#closed());
    dialog.addEventListener("keydown", (event) => this.#pressed(event));
    dialog.querySelector(".close").addEventListener("click", () => dialog.close());
    dialog.querySelector(".search-part").addEventListener("click", () => this.#searchPart());
    dialog.querySelector(".add-photo").addEventListener("click", () => addPhoto(this.id));
    dialog.querySelector(".previous").addEventListener("click", () => this.step(-1));
    dialog.querySelector(".next").addEventListener("click", () => this.step(1));
    dialog.querySelector(".stage").addEventListener("click", (event) => {
      if (event.target === event.currentTarget) dialog.close(); // a click beside the photo
    });
    onSwipe(dialog.querySelector(".stage"), dialog.querySelector(".frame"), {
      left: () => this.step(1),
      right: () => this.step(-1),
      down: () => dialog.close(),
    });
  }

  async #searchPart() {
    const { id, dialog } = this;
    const part = await choosePart(dialog.querySelector(".large").currentSrc);
    if (part) location.assign(dialog.dataset.part + encodeURIComponent(id + part));
  }

  #clicked(event) {
    const link = event.target.closest?.("a.photo[data-id]");
    if (!link || event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    this.open(link.dataset.id);
  }

  #pressed(event) {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    if (event.key === "ArrowRight") this.step(1);
    else if (event.key === "ArrowLeft") this.step(-1);
    else if (event.key === "i") this.details.toggle();
    else return;
    event.preventDefault();
  }
}

function fromLink(link) {
  const image = link.querySelector("img:last-of-type");
  return {
    src: link.href,
    small: image.src,
    width: image.getAttribute("width"),
    height: image.getAttribute("height"),
    alt: link.dataset.id,
  };
}

export function openLightbox() {
  const dialog = document.getElementById("lightbox");
  if (dialog) new Lightbox(dialog);
}
