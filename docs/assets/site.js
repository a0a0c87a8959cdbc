// What is wider than a phone is scrolled by the keyboard too.
addEventListener("load", () => setTimeout(() => {
  document.querySelectorAll(".md-typeset__scrollwrap").forEach((element) => { element.tabIndex = 0; });
}));
