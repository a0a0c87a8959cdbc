"use strict";
(() => {
  const REST = 250; // ms in which a key press belongs to the pair before
  const form = document.getElementById("verdicts");
  const clock = document.getElementById("clock");
  const guideline = document.getElementById("guideline");
  let spent = Number(document.body.dataset.waited) * 1000;
  let since = document.hidden ? null : performance.now();
  let sent = false;

  const looked = () => spent + (since === null ? 0 : performance.now() - since);
  const tick = () => {
    const seconds = Math.floor(looked() / 1000);
    clock.textContent = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
  };
  document.addEventListener("visibilitychange", () => {
    spent = looked();
    since = document.hidden ? null : performance.now();
  });
  if (clock) {
    tick();
    setInterval(tick, 500);
  }

  if (guideline) {
    const read = sessionStorage.getItem("guideline");
    const roomy = matchMedia("(min-width: 46rem)").matches; // on a phone it would hide the outputs
    guideline.open = read === null ? roomy : read === "open";
    guideline.addEventListener("toggle", () => sessionStorage.setItem("guideline", guideline.open ? "open" : "shut"));
  }

  const rows = [...document.querySelectorAll(".aspect")];
  const open = () => rows.find((row) => !row.querySelector(":checked"));
  const mark = () => {
    const current = open();
    rows.forEach((row) => row.classList.toggle("current", row === current));
    current?.scrollIntoView({ block: "nearest" });
  };
  const takeBack = () => {
    const last = rows.filter((row) => row.querySelector(":checked")).pop();
    if (last) last.querySelector(":checked").checked = false;
    mark();
  };
  mark();
  form.addEventListener("change", mark);

  form.addEventListener("submit", (event) => {
    if (sent) {
      event.preventDefault();
      return;
    }
    sent = true;
    form.elements.seconds.value = (looked() / 1000).toFixed(2);
    event.submitter?.classList.add("pressed");
  });
  window.addEventListener("pageshow", () => { sent = false; });

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
    const key = event.key.toLowerCase();
    if (key === "g" && guideline) guideline.open = !guideline.open;
    if (!("ready" in document.body.dataset)) return;
    if (key === "backspace") takeBack();
    const side = open()?.querySelector(`input[value="${CSS.escape(key)}"]`);
    if (side) {
      side.checked = true;
      mark();
      return;
    }
    const button = [...form.querySelectorAll("button:enabled")].find((each) => each.value === key);
    if (button) form.requestSubmit(button);
  });
  setTimeout(() => { document.body.dataset.ready = ""; }, REST);
  history.replaceState(null, "", "/");
})();
