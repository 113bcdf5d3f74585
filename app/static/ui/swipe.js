// Swiping: sideways shows the next or the previous photo, down closes the lightbox.
const FAR = 60; // pixels

export function onSwipe(stage, moved, { left, right, down }) {
  let start = null;

  const place = (x, y) => { moved.style.transform = x || y ? `translate(${x}px, ${y}px)` : ""; };
  const isZoomed = () => (window.visualViewport?.scale ?? 1) > 1.01; // then a finger moves around in the photo

  function end(event, cancelled = false) {
    if (!start || event.pointerId !== start.id) return;
    const [x, y] = along(event);
    start = null;
    stage.classList.add("settling");
    place(0, 0);
    if (cancelled) return;
    if (x < -FAR) left();
    else if (x > FAR) right();
    else if (y > FAR) down();
  }

  function along(event) {
    const x = event.clientX - start.x;
    const y = event.clientY - start.y;
    return Math.abs(x) >= Math.abs(y) ? [x, 0] : [0, Math.max(0, y)];
  }

  stage.addEventListener("pointerdown", (event) => {
    if (event.pointerType === "mouse" || isZoomed() || event.target.closest("button")) return;
    if (!event.isPrimary) { start = null; return place(0, 0); } // a second finger means zooming
    stage.classList.remove("settling");
    start = { id: event.pointerId, x: event.clientX, y: event.clientY };
  });
  stage.addEventListener("pointermove", (event) => { if (start?.id === event.pointerId) place(...along(event)); });
  stage.addEventListener("pointerup", (event) => end(event));
  stage.addEventListener("pointercancel", (event) => end(event, true));
}
