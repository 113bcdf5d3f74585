// Tells those who listen to the page what others see; not while a dialog is open, for then only the dialog is read out.
export function say(text, place = document.getElementById("said")) {
  place.textContent = text;
}
