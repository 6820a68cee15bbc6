// What the pages need beyond the theme. Loaded deferred; nothing here draws the page.
"use strict";

// Over file:// a browser lets no script read another page: search then shows titles alone.
if (location.protocol === "file:") DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;

// A box that scrolls sideways can be reached and scrolled with the keyboard. The theme sees to
// code and tables; formulas get their size only when MathJax has drawn them.
const reachFormulas = () => {
  for (const box of document.querySelectorAll(".math")) {
    if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
    else box.removeAttribute("tabindex");
  }
};
addEventListener("resize", reachFormulas);
addEventListener("load", () => {
  if (window.MathJax?.startup?.promise) MathJax.startup.promise.then(reachFormulas);
});

// What lay folded has a size only now: let the theme and us look again.
document.addEventListener("toggle", () => dispatchEvent(new Event("resize")), true);
