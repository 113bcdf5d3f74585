// What the page does beyond its links and forms; everything basic works without.
import "./query.js";
import { fadeIn } from "./fade.js";
import { walkByArrows } from "./arrows.js";
import { keepPlace } from "./place.js";
import { openLightbox } from "./lightbox.js";

fadeIn(document);
walkByArrows();
keepPlace();
openLightbox();
