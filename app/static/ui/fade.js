// Thumbnails fade in over their previews. Without this script they appear at once.
export function fadeIn(root) {
  for (const image of root.querySelectorAll(".thumbnail")) {
    if (image.complete) continue;
    image.classList.add("waiting");
    const show = () => image.classList.remove("waiting");
    image.addEventListener("load", show, { once: true });
    image.addEventListener("error", show, { once: true }); // then the browser shows the photo's name
  }
}
