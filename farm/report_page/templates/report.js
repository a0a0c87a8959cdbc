"use strict";
(() => {
  const pairs = [...document.querySelectorAll(".pair")];
  if (pairs.length < 2) return;
  const place = document.getElementById("place");
  let shown = 0;
  const show = (which) => {
    shown = Math.min(Math.max(which, 0), pairs.length - 1);
    pairs.forEach((pair, i) => { pair.hidden = i !== shown; });
    place.textContent = `${shown + 1} of ${pairs.length}`;
  };
  document.querySelector(".browse").hidden = false;
  document.getElementById("before").addEventListener("click", () => show(shown - 1));
  document.getElementById("next").addEventListener("click", () => show(shown + 1));
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "j") show(shown + 1);
    if (event.key === "k") show(shown - 1);
  });
  show(0);
})();
