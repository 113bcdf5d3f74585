// Values that are kept until the tab is closed. If the browser forbids that, nothing is kept.
export function keep(name, value) {
  try {
    sessionStorage.setItem(name, JSON.stringify(value));
  } catch { /* full or forbidden: the page works without it */ }
}

export function kept(name) {
  try {
    return JSON.parse(sessionStorage.getItem(name));
  } catch {
    return null;
  }
}
