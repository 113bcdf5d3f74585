// The arrow keys move the focus from photo to photo, in the directions that they have on the screen.
import { photoLinks } from "./photos.js";

const middle = (box) => box.left + box.width / 2;

function inRow(links, from, direction) {
  const start = from.getBoundingClientRect();
  const boxes = links.map((link) => ({ link, box: link.getBoundingClientRect() }));
  const beyond = boxes.filter(({ box }) => direction * (box.top - start.top) > start.height / 2);
  const row = direction * Math.min(...beyond.map(({ box }) => direction * box.top));
  const nearest = beyond
    .filter(({ box }) => Math.abs(box.top - row) < 2)
    .sort((a, b) => Math.abs(middle(a.box) - middle(start)) - Math.abs(middle(b.box) - middle(start)));
  return nearest[0]?.link;
}

function target(key, from) {
  const links = photoLinks();
  const at = links.indexOf(from);
  if (at < 0) return undefined;
  if (key === "ArrowRight") return links[at + 1];
  if (key === "ArrowLeft") return links[at - 1];
  if (key === "ArrowDown") return inRow(links, from, 1);
  if (key === "ArrowUp") return inRow(links, from, -1);
  return undefined;
}

export function walkByArrows() {
  document.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
    const link = target(event.key, event.target);
    if (!link) return;
    event.preventDefault();
    link.focus();
  });
}
