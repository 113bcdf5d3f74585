// Who comes back by the back button, or loads the page again, finds as many photos as before and stands where he stood.
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
  window.scrollTo(0, place.top); // the tiles have their sizes before they have their photos
  while (pages < place.pages && hasMore()) await loadMore();
  if (scrollY < place.top) window.scrollTo(0, place.top);
}

export function keepScrollPosition() {
  history.scrollRestoration = "manual"; // the browser knows nothing of photos that came later
  window.addEventListener("pagehide", remember);
  restore().catch(() => {}); // the link to more photos is still there
}
