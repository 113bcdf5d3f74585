// The form of the search bar: it makes short addresses, edits chips by keyboard, closes menus, and adds photos and parts.
import { choosePart } from "./crop.js";

const form = document.getElementById("ask");
const text = document.getElementById("q");
const chips = () => [...form.querySelectorAll(".chip summary")];

/** Search again with a further photo of the index, or with a part of it. */
export function addPhoto(name) {
  const field = Object.assign(document.createElement("input"), { type: "hidden", name: "add", value: name });
  form.append(field);
  submit();
  field.remove(); // the form is sent; the back button may show this page again, and then without the field
}

/** Send the form, even if it has no text. */
function submit() {
  form.noValidate = true;
  form.requestSubmit();
  form.noValidate = false;
}

/** Search again with only a part of the chip's photo. */
async function choosePartOf({ dataset }) {
  const field = form.querySelectorAll("input.part")[dataset.field];
  const whole = field.value.replace(/#xywh=percent:[\d.,]+$/, "");
  const part = await choosePart(dataset.src ?? whole);
  if (!part) return;
  const before = field.value;
  field.value = whole + part;
  submit();
  field.value = before;
}

function withoutEmpty({ formData }) {
  const given = [...formData].filter(([, value]) => (value instanceof File ? value.name : value.trim()));
  for (const name of [...formData.keys()]) formData.delete(name);
  for (const [name, value] of given) formData.append(name, value);
}

function closeMenus(but) {
  for (const menu of form.querySelectorAll("details[open]")) if (menu !== but) menu.open = false;
}

function pressed(event) {
  if (event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
  const chip = event.target.matches(".chip summary") && event.target.closest(".chip");
  const menu = event.target.closest("details[open]");
  if (event.key === "Backspace" && event.target === text && !text.value && chips().length) chips().at(-1).focus();
  else if (["Backspace", "Delete"].includes(event.key) && chip) chip.querySelector(".remove").click();
  else if (event.key === "Escape" && menu) {
    menu.open = false;
    menu.querySelector("summary").focus();
  } else return;
  event.preventDefault();
}

export function editByForm() {
  document.addEventListener("formdata", withoutEmpty);
  form.addEventListener("keydown", pressed);
  document.addEventListener("click", (event) => closeMenus(event.target.closest("details")));
  document.addEventListener("click", (event) => {
    const button = event.target.closest("button.choose-part");
    if (button) choosePartOf(button);
  });
  document.getElementById("k")?.addEventListener("change", () => { if (form.checkValidity()) form.requestSubmit(); });
}
