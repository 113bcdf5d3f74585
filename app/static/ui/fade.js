// Thumbnails come in gently over their previews. Without this script they are simply there.
export function fadeIn(root) {
  for (const image of root.querySelectorAll(".thumbnail")) {
    if (image.complete) continue;
    image.classList.add("waiting");
    const show = () => image.classList.remove("waiting");
    image.addEventListener("load", show, { once: true });
    image.addEventListener("error", show, { once: true }); // the photo's name is read then
  }
}
