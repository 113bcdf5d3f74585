// What the page does beyond its links and forms. All basic functions work without scripts.
import "./query.js";
import { editByForm } from "./bar.js";
import { fadeIn } from "./fade.js";
import { walkByArrows } from "./arrows.js";
import { keepScrollPosition } from "./scroll.js";
import { openLightbox } from "./lightbox.js";

editByForm();
fadeIn(document);
walkByArrows();
keepScrollPosition();
openLightbox();
