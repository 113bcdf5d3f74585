// The dialog in which people choose a part of a photo: by dragging, by pressing two corners, or by the arrow keys.
import { say } from "./say.js";
import { t } from "./words.js";

const STEP = 2; // percent of the photo by which an arrow key moves the part
const LEAST = 2; // percent of the photo: the least width and height of a part
const DRAGGED = 4; // pixels; a pointer that moves further is dragging, not pressing
const AT_FIRST = { left: 25, top: 25, width: 50, height: 50 };
const ARROWS = { ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP], ArrowDown: [0, STEP] };

const within = (value, least, most) => Math.min(Math.max(value, least), most);

class PartChooser {
  constructor(dialog) {
    this.dialog = dialog;
    this.whole = dialog.querySelector(".whole");
    this.image = dialog.querySelector("img");
    this.chosen = dialog.querySelector(".chosen");
    dialog.querySelector(".cancel").addEventListener("click", () => dialog.close());
    dialog.querySelector(".take").addEventListener("click", () => dialog.close("taken"));
    dialog.addEventListener("keydown", (event) => this.#pressed(event));
    this.whole.addEventListener("pointerdown", (event) => this.#begin(event));
    this.whole.addEventListener("pointermove", (event) => this.#move(event));
    this.whole.addEventListener("pointerup", (event) => this.#end(event));
    this.whole.addEventListener("pointercancel", () => { this.drag = null; });
  }

  /** Return a promise of the chosen part of the photo at `src`, as the fragment of its address; null if none is chosen. */
  async choose(src) {
    this.image.src = src;
    await this.image.decode();
    this.whole.style.setProperty("--ratio", this.image.naturalWidth / this.image.naturalHeight);
    this.corner = null;
    this.drag = null;
    this.#show(AT_FIRST);
    this.dialog.returnValue = "";
    this.dialog.showModal();
    this.chosen.focus();
    await new Promise((resolve) => { this.dialog.addEventListener("close", resolve, { once: true }); });
    return this.dialog.returnValue ? this.#address() : null;
  }

  #address() {
    const { left, top, width, height } = this.box;
    return `#xywh=percent:${[left, top, width, height].map((share) => Number(share.toFixed(2))).join(",")}`;
  }

  #show({ left, top, width, height }) {
    const box = { width: within(width, LEAST, 100), height: within(height, LEAST, 100) };
    box.left = within(left, 0, 100 - box.width);
    box.top = within(top, 0, 100 - box.height);
    this.box = box;
    for (const [name, share] of Object.entries(box)) this.chosen.style[name] = `${share}%`;
  }

  #tell() {
    const { left, top, width, height } = this.box;
    const shares = { left, top, width, height };
    for (const name of Object.keys(shares)) shares[name] = Math.round(shares[name]);
    say(t("{width} by {height} percent of the photo, {left} from the left, {top} from the top", shares), this.dialog.querySelector(".said"));
  }

  // Pointers

  #point(event) {
    const place = this.whole.getBoundingClientRect();
    return {
      x: within((100 * (event.clientX - place.left)) / place.width, 0, 100),
      y: within((100 * (event.clientY - place.top)) / place.height, 0, 100),
    };
  }

  #begin(event) {
    if (!event.isPrimary || event.button) return;
    event.preventDefault();
    this.chosen.focus({ focusVisible: false });
    this.whole.setPointerCapture(event.pointerId);
    this.drag = { from: this.#point(event), x: event.clientX, y: event.clientY, moved: false };
  }

  #move(event) {
    if (!this.drag || !event.isPrimary) return;
    this.drag.moved ||= Math.hypot(event.clientX - this.drag.x, event.clientY - this.drag.y) > DRAGGED;
    if (this.drag.moved) this.#between(this.drag.from, this.#point(event));
  }

  #end(event) {
    if (!this.drag || !event.isPrimary) return;
    const { moved, from } = this.drag;
    this.drag = null;
    if (moved) {
      this.corner = null;
    } else if (this.corner) {
      this.#between(this.corner, from);
      this.corner = null;
    } else {
      this.corner = from;
      this.#between(from, from);
    }
    this.#tell();
  }

  #between(one, other) {
    this.#show({
      left: Math.min(one.x, other.x),
      top: Math.min(one.y, other.y),
      width: Math.abs(one.x - other.x),
      height: Math.abs(one.y - other.y),
    });
  }

  // Keys

  #pressed(event) {
    if (event.altKey || event.ctrlKey || event.metaKey || event.target !== this.chosen) return;
    const [x, y] = ARROWS[event.key] ?? [0, 0];
    const { left, top, width, height } = this.box;
    if (event.key === "Enter") this.dialog.close("taken");
    else if (!x && !y) return;
    else if (event.shiftKey) this.#show({ left, top, width: within(width + x, LEAST, 100 - left), height: within(height + y, LEAST, 100 - top) });
    else this.#show({ left: left + x, top: top + y, width, height });
    event.preventDefault();
    event.stopPropagation();
    this.#tell();
  }
}

let chooser = null;

export function choosePart(src) {
  chooser ??= new PartChooser(document.getElementById("part"));
  return chooser.choose(src);
}
