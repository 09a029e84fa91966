// The report form's convenience: what can be said of a trace ID while it is typed. The form works without it.

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

traceFinding();
