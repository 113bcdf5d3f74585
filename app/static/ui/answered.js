// The server's answer to a GET, whatever it says; an error in words where there is none.
export async function answered(address) {
  try {
    return await fetch(address);
  } catch {
    throw new Error("The server cannot be reached.");
  }
}
