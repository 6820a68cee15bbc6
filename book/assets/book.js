// What the pages need beyond the theme. Loaded deferred; nothing here draws the page.
"use strict";

// Over file:// a browser lets no script read another page: search then shows titles alone.
if (location.protocol === "file:") DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;

// A box that scrolls sideways fades where it goes on, and the keyboard can reach it. The theme
// sees to the keyboard for code and tables; formulas get their size only from MathJax.
const BOXES = ".bd-article :is(pre, .math, .output, .pst-scrollable-table-container)";
const goesOn = (box) => {
  box.toggleAttribute("data-goes-on", box.scrollLeft + box.clientWidth < box.scrollWidth - 4);
};
const look = () => {
  for (const box of document.querySelectorAll(BOXES)) {
    goesOn(box);
    if (!box.classList.contains("math")) continue;
    if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
    else box.removeAttribute("tabindex");
  }
};
document.addEventListener("scroll", ({ target }) => {
  if (target instanceof Element && target.matches(BOXES)) goesOn(target);
}, { capture: true, passive: true });
addEventListener("resize", look);
addEventListener("load", () => {
  look();
  if (window.MathJax?.startup?.promise) MathJax.startup.promise.then(look);
});

// What lay folded has a size only now: let the theme and us look again.
document.addEventListener("toggle", () => dispatchEvent(new Event("resize")), true);
