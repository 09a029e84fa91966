// The form in a frame on a page of the product: tells that page's script (embed.js) when it is there, when the report is
// sent, and when Escape is pressed.

const sent = document.querySelector("[data-sent]");
const origin = sent?.dataset.parent ?? document.querySelector("[name=embed_origin]")?.value;

function tell(type, more = {}) {
  // The link to the report is nobody else's, so the page is named.
  if (origin) parent.postMessage({ type: `tracedesk:${type}`, ...more }, origin);
}

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && !event.defaultPrevented && !document.querySelector("dialog[open]")) tell("close");
});

// Other pages can't be framed.
for (const link of document.querySelectorAll("a[href]:not([href^='#'])")) {
  link.target = "_blank";
  link.rel = "noopener";
}

// Browsers let a frame take the focus only once the page has given it.
const first = document.querySelector("[data-focus]") ?? document.getElementById("action");
if (document.hasFocus()) first?.focus();
else addEventListener("focus", () => first?.focus(), { once: true });

tell("ready");
if (sent) tell("sent", { reference: sent.dataset.reference, url: sent.dataset.url });
