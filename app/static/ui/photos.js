// The photos of the grid: the links around them, in the order in which they are seen.
const GRID = ".grid a.photo";

export const isShown = (link) => link.offsetParent !== null; // those folded under another are not

export const photoLinks = () => [...document.querySelectorAll(GRID)].filter(isShown);

export const linkTo = (id) => [...document.querySelectorAll("a.photo")].find((link) => link.dataset.id === id);

/** An image_id as it stands in addresses. */
export const encodePath = (id) => id.split("/").map(encodeURIComponent).join("/");
