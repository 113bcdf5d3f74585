// The place of the large photo. It shows the thumbnail at once, in the size of the photo, and then the photo itself. After
// that the neighbours are loaded ahead.
import { describeError } from "./fetch.js";
import { t } from "./words.js";

const ENLARGED = 2; // times its own size, at most: a small photo would be blurred

export class Stage {
  constructor(element) {
    this.element = element;
    this.frame = element.querySelector(".frame");
    this.small = element.querySelector(".small");
    this.large = element.querySelector(".large");
    this.problem = element.querySelector(".problem");
    this.shown = 0;
  }

  /** Show a photo and load its neighbours. `photo` is {src, small, width, height, alt}, or a promise of it. */
  async show(photo, neighbours) {
    const number = ++this.shown; // an answer that comes late, for an earlier photo, is not shown
    this.clear();
    try {
      const known = await photo;
      if (number !== this.shown) return;
      this.#frame(known);
      this.element.classList.add("loading");
      await this.#load(known, number);
      if (number === this.shown) neighbours.forEach(preload);
    } catch (error) {
      if (number === this.shown) this.#fail(error);
    } finally {
      if (number === this.shown) this.element.classList.remove("loading");
    }
  }

  clear() {
    this.element.classList.remove("loading");
    this.problem.textContent = "";
    for (const image of [this.small, this.large]) {
      image.removeAttribute("src");
      image.alt = "";
    }
  }

  #frame({ small, width, height }) {
    this.frame.hidden = false;
    this.frame.style.setProperty("--ratio", width / height);
    this.frame.style.setProperty("--widest", `${width * ENLARGED}px`);
    this.small.src = small;
  }

  async #load({ src, alt }, number) {
    const loader = new Image();
    loader.src = src;
    this.large.classList.add("waiting");
    this.large.alt = alt;
    await loader.decode().catch(() => { throw new Error(t("This photo cannot be shown.")); });
    if (number !== this.shown) return;
    this.large.src = src;
    await this.large.decode().catch(() => {});
    this.large.classList.remove("waiting");
  }

  #fail(error) {
    this.problem.replaceChildren(describeError(error));
    if (!this.small.hasAttribute("src")) this.frame.hidden = true;
  }
}

function preload(src) {
  new Image().src = src;
}
