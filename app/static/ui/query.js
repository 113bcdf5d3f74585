// Choose a photo, drop one anywhere on the page, or paste one, to search by it. Without this script the button does it.
const form = document.getElementById("drop");
const input = form.elements.image;
const root = document.documentElement;
const carriesFiles = (event) => event.dataTransfer?.types.includes("Files");
let depth = 0; // dragenter and dragleave fire for every element passed

function showDropping(change) {
  depth = Math.max(0, depth + change);
  root.classList.toggle("dropping", depth > 0);
}

function searchBy(files) {
  if (!files.length) return;
  if (files !== input.files) input.files = files;
  form.requestSubmit();
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

document.addEventListener("submit", () => {
  const k = document.getElementById("k");
  if (k) form.elements.k.value = k.value;
  root.classList.add("searching");
});

// A page that comes back by the back button is as it was left: searching, and with the last photo still chosen.
window.addEventListener("pageshow", () => {
  root.classList.remove("searching");
  input.value = "";
});

// Another number of photos: the same search again, where its address says what was searched for.
document.getElementById("k")?.addEventListener("change", (event) => {
  const address = new URL(location);
  if (!address.searchParams.has("q") && !address.searchParams.has("id")) return;
  address.searchParams.set("k", event.target.value);
  address.searchParams.delete("offset");
  location.assign(address);
});
