// The report form's conveniences: what can be said of a trace ID while it is typed, and screenshots by paste and drop,
// with a tool to black out parts before they leave the browser. The form works without any of it.

const TYPING_PAUSE_MS = 500;
const PICTURE = /^image\/(png|jpeg|webp|gif)$/;

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
  const asked = await (await fetch(url)).json();
  const worker = new Worker(solver);
  const number = await new Promise((done, failed) => {
    worker.onmessage = ({ data }) => done(data);
    worker.onerror = failed;
    worker.postMessage(asked);
  }).finally(() => worker.terminate());
  const { algorithm, challenge, salt, signature } = asked;
  return btoa(JSON.stringify({ algorithm, challenge, number, salt, signature }));
}

// The files chosen so far live in the input itself, so that a plain submit sends them.
function screenshots() {
  const input = document.getElementById("screenshots");
  if (!input) return;
  const field = input.closest(".field");
  const previews = document.createElement("ul");
  previews.className = "shots";
  const complaint = document.createElement("div");
  complaint.setAttribute("role", "alert");
  input.after(complaint, previews);
  let files = [];

  const commit = (next) => {
    const transfer = new DataTransfer();
    next.forEach((file) => transfer.items.add(file));
    files = next;
    input.files = transfer.files;
    previews.replaceChildren(...files.map((file, index) => preview(file, index)));
  };
  const add = (list) => {
    const pictures = [...list].filter((file) => PICTURE.test(file.type));
    if (pictures.length) commit(allowed([...files, ...pictures]));
    return pictures.length > 0;
  };
  // What the server would refuse is said at once.
  const allowed = (list) => {
    const room = Number(input.dataset.maxFiles) - field.querySelectorAll("[name=intent][value^=remove-]").length;
    const small = list.filter((file) => file.size <= Number(input.dataset.maxBytes));
    complain(small.length < list.length ? input.dataset.tooLarge : small.length > room ? input.dataset.tooMany : "");
    return small.slice(0, room);
  };
  const complain = (text) => {
    document.getElementById("screenshots-error")?.remove();
    const words = Object.assign(document.createElement("p"), { className: "field-error", textContent: text });
    complaint.replaceChildren(...text ? [words] : []);
    if (text) input.setAttribute("aria-invalid", "true");
    else input.removeAttribute("aria-invalid");
  };
  const preview = (file, index) => {
    const item = document.createElement("li");
    const canvas = document.createElement("canvas");
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `Screenshot ${index + 1}: ${file.name}`);
    draw(canvas, file);
    item.append(
      canvas,
      button("Black out parts", () => blackOut(file, (edited) => commit(files.with(index, edited)))),
      button("Remove", () => commit(files.toSpliced(index, 1))),
    );
    return item;
  };

  input.addEventListener("change", () => commit(allowed([...input.files])));
  document.addEventListener("paste", (event) => {
    if (add(event.clipboardData?.files ?? [])) event.preventDefault();
  });
  field.addEventListener("dragover", (event) => {
    event.preventDefault();
    field.classList.add("is-over");
  });
  field.addEventListener("dragleave", () => field.classList.remove("is-over"));
  field.addEventListener("drop", (event) => {
    event.preventDefault();
    field.classList.remove("is-over");
    add(event.dataTransfer.files);
  });
}

function button(label, act) {
  const made = document.createElement("button");
  made.type = "button";
  made.className = "quiet small";
  made.textContent = label;
  made.addEventListener("click", act);
  return made;
}

async function draw(canvas, file) {
  try {
    const picture = await createImageBitmap(file);
    canvas.width = picture.width;
    canvas.height = picture.height;
    canvas.getContext("2d").drawImage(picture, 0, 0);
  } catch {
    canvas.replaceWith(Object.assign(document.createElement("span"), { textContent: `${file.name}: not a picture` }));
  }
}

// Boxes are drawn into the picture itself: what is black is gone before the picture leaves the browser.
async function blackOut(file, done) {
  const dialog = document.createElement("dialog");
  dialog.className = "blackout";
  const canvas = document.createElement("canvas");
  const hint = Object.assign(document.createElement("p"), { textContent: "Drag over what nobody should see." });
  const row = Object.assign(document.createElement("div"), { className: "row" });
  dialog.append(hint, canvas, row);
  document.body.append(dialog);
  await draw(canvas, file);
  const original = await createImageBitmap(canvas);
  const context = canvas.getContext("2d");
  const boxes = [];
  const repaint = () => {
    context.drawImage(original, 0, 0);
    context.fillStyle = "#000";
    for (const box of boxes) context.fillRect(box.x, box.y, box.width, box.height);
  };
  dragBoxes(canvas, boxes, repaint);
  const close = () => { dialog.close(); dialog.remove(); };
  const save = button("Done", () => canvas.toBlob((blob) => {
    done(new File([blob], file.name.replace(/\.\w+$/, "") + ".png", { type: "image/png" }));
    close();
  }, "image/png"));
  save.classList.replace("quiet", "primary");
  row.append(button("Undo", () => { boxes.pop(); repaint(); }), button("Cancel", close), save);
  dialog.addEventListener("cancel", () => dialog.remove());
  dialog.showModal();
}

function dragBoxes(canvas, boxes, repaint) {
  const place = (event) => {
    const shown = canvas.getBoundingClientRect();
    return {
      x: (event.clientX - shown.left) * canvas.width / shown.width,
      y: (event.clientY - shown.top) * canvas.height / shown.height,
    };
  };
  let from = null;
  canvas.addEventListener("pointerdown", (event) => {
    from = place(event);
    boxes.push({ ...from, width: 0, height: 0 });
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!from) return;
    const to = place(event);
    Object.assign(boxes.at(-1), {
      x: Math.min(from.x, to.x), y: Math.min(from.y, to.y),
      width: Math.abs(to.x - from.x), height: Math.abs(to.y - from.y),
    });
    repaint();
  });
  canvas.addEventListener("pointerup", () => { from = null; });
}

traceFinding();
screenshots();
proofOfWork();
