// The start page's conveniences: votes in place, what can be said of a trace ID while it is typed, a proof of work. The
// page works without any of them.

const TYPING_PAUSE_MS = 500;

// Asks when the typing pauses; an older answer never replaces a newer one.
function traceFinding() {
  const input = document.getElementById("trace_id");
  const place = document.getElementById("finding");
  if (!input || !place) return;
  let timer, asked = 0;
  input.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(async () => {
      const turn = ++asked;
      const nodes = input.value.trim() ? await findingFor(input.value) : [];
      if (turn === asked && nodes) place.replaceChildren(...nodes);
    }, TYPING_PAUSE_MS);
  });
}

async function findingFor(text) {
  try {
    const response = await fetch("/trace-findings", { method: "POST", body: new URLSearchParams({ trace_id: text }) });
    if (!response.ok) return null;
    return new DOMParser().parseFromString(await response.text(), "text/html").body.childNodes;
  } catch {
    return null; // Offline: the "Check" button says so.
  }
}

const PROOF_PATIENCE_MS = 20_000;
// Shorter than the server takes it.
const PROOF_LIFETIME_MS = 25 * 60_000;

// A proof of work, begun with the first key in the form and waited for when it is sent. Where it can't be had the form is
// sent without, and other signs count.
function proofOfWork() {
  const field = document.querySelector("[data-challenge]");
  if (!field || !window.isSecureContext || !window.Worker) return;
  const form = field.form;
  let solving = null, since = 0;
  const begin = () => {
    if (solving && Date.now() - since < PROOF_LIFETIME_MS) return solving;
    since = Date.now();
    field.value = "";
    solving = Promise.race([solve(field.dataset), pause(PROOF_PATIENCE_MS)])
      .then((proof) => { field.value = proof ?? ""; })
      .catch(() => { solving = null; });
    return solving;
  };
  let waiting = false, goesOn = false;
  const isReady = () => goesOn || (field.value && Date.now() - since < PROOF_LIFETIME_MS);
  form.addEventListener("input", begin, { once: true });
  form.addEventListener("submit", async (event) => {
    if (isReady() || (event.submitter && event.submitter.value !== "send")) return;
    event.preventDefault();
    if (waiting) return;
    waiting = true;
    form.setAttribute("aria-busy", "true");
    await begin();
    form.removeAttribute("aria-busy");
    waiting = false;
    goesOn = true;
    form.requestSubmit(event.submitter);
    goesOn = false;
  });
  // Back to a form that was sent: its proof is used up.
  addEventListener("pageshow", (event) => {
    if (event.persisted) field.value = "", solving = null;
  });
}

function pause(ms) {
  return new Promise((done) => setTimeout(done, ms));
}

async function solve({ challenge: url, solver }) {
  const response = await fetch(url);
  if (!response.ok) throw new Error("no challenge");
  const asked = await response.json();
  const worker = new Worker(solver);
  const number = await new Promise((done, failed) => {
    worker.onmessage = ({ data }) => done(data);
    worker.onerror = failed;
    worker.postMessage(asked);
  }).finally(() => worker.terminate());
  if (number === null) throw new Error("no solution");
  const { algorithm, challenge, salt, signature } = asked;
  return btoa(JSON.stringify({ algorithm, challenge, number, salt, signature }));
}

// Votes in place; without a script the page comes again with all that was typed.
function votes() {
  document.addEventListener("click", async (event) => {
    const pressed = event.target.closest?.(".helpful button");
    if (!pressed) return;
    event.preventDefault();
    const place = pressed.closest(".helpful");
    const [what, ...vote] = pressed.value.split("-");
    const fields = new URLSearchParams({ vote: vote.join("-") });
    if (what === "note") fields.set("note", place.querySelector("input").value);
    try {
      const response = await fetch("/helpfulness", { method: "POST", body: fields });
      if (!response.ok) return;
      const fresh = new DOMParser().parseFromString(await response.text(), "text/html").querySelector(".helpful");
      place.replaceWith(fresh);
      fresh.querySelector("input")?.focus();
    } catch {
      // Offline: the vote is not worth a message.
    }
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !event.target.matches?.(".helpful input")) return;
    event.preventDefault();
    event.target.closest(".helpful").querySelector("button").click();
  });
}

traceFinding();
votes();
proofOfWork();
