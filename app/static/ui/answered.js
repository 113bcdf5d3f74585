// The server's answer to a GET, whatever it says; an error in words where there is none.
import { t } from "./words.js";

export async function answered(address) {
  try {
    return await fetch(address);
  } catch {
    throw new Error(t("The server cannot be reached."));
  }
}
