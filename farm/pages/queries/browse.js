"use strict";
addEventListener("load", () => setTimeout(() => {  // after the page's own handler, which makes the editor
  document.documentElement.lang = "en";
  const names = {
    ".CodeMirror textarea": "SQL",
    "[name^=_filter_column]": "Column",
    "[name^=_filter_op]": "Comparison",
    "[name^=_filter_value]": "Value",
    "[name=_sort]": "Sort by",
  };
  for (const [selector, name] of Object.entries(names))
    document.querySelectorAll(selector).forEach((element) => element.setAttribute("aria-label", name));
  document.querySelectorAll(".table-wrapper").forEach((element) => { element.tabIndex = 0; });
}));
