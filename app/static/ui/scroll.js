// After the back button or a reload, the page shows as many photos as before, at the same scroll position.
import { hasMore, loadMore, pages } from "./more.js";
import { keep, kept } from "./store.js";

const name = `place of ${location.pathname}${location.search}`;

function remember() {
  keep(name, { pages, top: scrollY });
}

async function restore() {
  const [navigation] = performance.getEntriesByType("navigation");
  const place = kept(name);
  if (!place || !["back_forward", "reload"].includes(navigation?.type)) return;
  window.scrollTo(0, place.top); // tiles have their size before their photos are loaded
  while (pages < place.pages && hasMore()) await loadMore();
  if (scrollY < place.top) window.scrollTo(0, place.top);
}

export function keepScrollPosition() {
  history.scrollRestoration = "manual"; // the browser does not know of photos that were added later
  window.addEventListener("pagehide", remember);
  restore().catch(() => {}); // a failure needs no message: the link to more photos is still there
}
