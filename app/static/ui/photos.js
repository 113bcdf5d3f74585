// The links of the photos in the grid, in the order in which people see them.
const GRID = ".grid a.photo";

export const isShown = (link) => link.offsetParent !== null; // photos that are folded under another one are not

export const photoLinks = () => [...document.querySelectorAll(GRID)].filter(isShown);

export const linkTo = (id) => [...document.querySelectorAll("a.photo")].find((link) => link.dataset.id === id);

/** Return an image_id in the form that addresses use. */
export const encodePath = (id) => id.split("/").map(encodeURIComponent).join("/");
