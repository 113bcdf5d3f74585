// Requests to the server: its answer, whatever its status is, or an error with a text if there is no answer.
import { t } from "./words.js";

/** An error with the server's own message, which is in English. */
export class Refusal extends Error {}

export async function fetchAnswer(address, options) {
  let answer;
  try {
    answer = await fetch(address, options);
  } catch {
    throw new Error(t("The server cannot be reached."));
  }
  if (answer.status === 401 || isLoginPage(answer)) throw new Error(t("You are no longer logged in. Load the page again."));
  return answer;
}

const isLoginPage = ({ redirected, url }) => redirected && new URL(url).pathname.endsWith("/login");

/** Return the error for a failed answer: with the server's message, or with the status if there is no message. */
export function makeError(answer, said) {
  return said ? new Refusal(said) : new Error(t("The server answered {status}.", { status: answer.status }));
}

/** Return an element with the message of an error, marked with its language. */
export function describeError(error) {
  const text = document.createElement("span");
  if (error instanceof Refusal) text.lang = "en";
  text.textContent = error.message;
  return text;
}
