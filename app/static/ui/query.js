// Search by photos as soon as they are chosen, pasted, or dropped anywhere on the page. Without this script a button
// starts the search.
import { shrinkPhotos } from "./shrink.js";

const form = document.getElementById("ask");
const input = document.getElementById("image");
const camera = document.getElementById("camera");
const send = form.querySelector(".send");
const root = document.documentElement;
const carriesFiles = (event) => event.dataTransfer?.types.includes("Files");
let depth = 0; // of elements that the drag has entered: dragenter and dragleave fire for each of them

function showDropping(change) {
  depth = Math.max(0, depth + change);
  root.classList.toggle("dropping", depth > 0);
}

async function searchBy(files, field = input) {
  if (!files.length) return;
  const size = [...files].reduce((sum, file) => sum + file.size, 0);
  const sent = size > form.dataset.limit ? await shrinkPhotos(files, form.dataset.shortSide) : files;
  if (sent !== field.files) field.files = sent;
  form.requestSubmit(send);
}

document.addEventListener("dragenter", (event) => { if (carriesFiles(event)) showDropping(1); });
document.addEventListener("dragleave", (event) => { if (carriesFiles(event)) showDropping(-1); });
document.addEventListener("dragover", (event) => { if (carriesFiles(event)) event.preventDefault(); });
document.addEventListener("drop", (event) => {
  if (!carriesFiles(event)) return;
  event.preventDefault();
  showDropping(-depth);
  searchBy(event.dataTransfer.files);
});
document.addEventListener("paste", (event) => searchBy(event.clipboardData.files));
input.addEventListener("change", () => searchBy(input.files));
camera.addEventListener("change", () => searchBy(camera.files, camera));

document.addEventListener("submit", () => root.classList.add("searching"));

// The back button may show a page as it was left: with the sign of a search, and with the last photos still chosen.
window.addEventListener("pageshow", () => {
  root.classList.remove("searching");
  input.value = "";
  camera.value = "";
});
