// The report form's conveniences: what can be said of a trace ID while it is typed, and screenshots by paste and drop,
// with a tool to black out parts before they leave the browser. The form works without any of it.

const TYPING_PAUSE_MS = 500;
const WORDS = JSON.parse(document.body.dataset.words);
const fill = (text, values) => text.replace(/\{([a-z_]+)\}/g, (place, name) => values[name] ?? place);
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

// The files chosen so far live in the input itself, so that a plain submit sends them.
function screenshots() {
  const input = document.getElementById("screenshots");
  if (!input) return;
  const field = input.closest(".field");
  const previews = document.createElement("ul");
  previews.className = "shots";
  input.after(previews);
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
    if (pictures.length) commit([...files, ...pictures]);
    return pictures.length > 0;
  };
  const preview = (file, index) => {
    const item = document.createElement("li");
    const canvas = document.createElement("canvas");
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", fill(WORDS.screenshot, { number: index + 1, name: file.name }));
    draw(canvas, file);
    item.append(
      canvas,
      button(WORDS.black_out, () => blackOut(file, (edited) => commit(files.with(index, edited)))),
      button(WORDS.remove, () => commit(files.toSpliced(index, 1))),
    );
    return item;
  };

  input.addEventListener("change", () => commit([...input.files]));
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
    canvas.replaceWith(Object.assign(document.createElement("span"), { textContent: fill(WORDS.not_a_picture, { name: file.name }) }));
  }
}

// Boxes are drawn into the picture itself: what is black is gone before the picture leaves the browser.
async function blackOut(file, done) {
  const dialog = document.createElement("dialog");
  dialog.className = "blackout";
  const canvas = document.createElement("canvas");
  const hint = Object.assign(document.createElement("p"), { textContent: WORDS.black_out_hint });
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
  const save = button(WORDS.done, () => canvas.toBlob((blob) => {
    done(new File([blob], file.name.replace(/\.\w+$/, "") + ".png", { type: "image/png" }));
    close();
  }, "image/png"));
  save.classList.replace("quiet", "primary");
  row.append(button(WORDS.undo, () => { boxes.pop(); repaint(); }), button(WORDS.cancel, close), save);
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
