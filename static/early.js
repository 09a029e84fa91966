// Runs before the first paint, so that what only works with scripts shows at once and nothing jumps.
// If a script can't be loaded, the page falls back to what works without.
document.documentElement.classList.add("js");
addEventListener("error", (event) => {
  if (event.target instanceof HTMLScriptElement) document.documentElement.classList.remove("js");
}, true);
