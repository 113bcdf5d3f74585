// Announce a text to people who use a screen reader. While a dialog is open, only a place inside the dialog is read out.
export function say(text, place = document.getElementById("said")) {
  place.textContent = text;
}
