"use strict";
(() => {
  const pairs = [...document.querySelectorAll(".pair")];
  if (pairs.length < 2) return;
  const [place, pick, before, next] = ["place", "pick", "before", "next"].map((id) => document.getElementById(id));
  let shown = 0;
  const show = (which) => {
    shown = Math.min(Math.max(which, 0), pairs.length - 1);
    pairs.forEach((pair, i) => { pair.hidden = i !== shown; });
    place.textContent = `${shown + 1} of ${pairs.length}`;
    pick.value = shown;
    before.disabled = shown === 0;
    next.disabled = shown === pairs.length - 1;
  };
  document.querySelector(".browse").hidden = false;
  before.addEventListener("click", () => show(shown - 1));
  next.addEventListener("click", () => show(shown + 1));
  pick.addEventListener("change", () => show(Number(pick.value)));
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target === pick) return;
    if (event.key === "j") show(shown + 1);
    if (event.key === "k") show(shown - 1);
  });
  show(0);
})();
