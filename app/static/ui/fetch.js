// The server's answer, whatever it says; an error in words where there is none.
import { t } from "./words.js";

/** What the server says of an error is English. */
export class Refusal extends Error {}

export async function fetchAnswer(address, options) {
  try {
    return await fetch(address, options);
  } catch {
    throw new Error(t("The server cannot be reached."));
  }
}

/** The error of an answer that is none: what the server says of it, or its status. */
export function makeError(answer, said) {
  return said ? new Refusal(said) : new Error(t("The server answered {status}.", { status: answer.status }));
}

/** What an error says, marked up by its language. */
export function describeError(error) {
  const text = document.createElement("span");
  if (error instanceof Refusal) text.lang = "en";
  text.textContent = error.message;
  return text;
}
