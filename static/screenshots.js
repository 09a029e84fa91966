// Screenshots by paste and drop, with a tool to black out parts before they leave the browser. Each form works without
// any of it.

const PICTURE = /^image\/(png|jpeg|webp|gif)$/;
// How far an arrow key moves or grows a box, as a part of the picture's width.
const KEY_STEP = 1 / 50;

const fill = (text, values) => text.replace(/\{([a-z_]+)\}/g, (place, name) => values[name] ?? place);

// The files chosen so far live in the input itself, so that a plain submit sends them.
function screenshots(input) {
  const field = input.closest(".field");
  const words = JSON.parse(document.body.dataset.words ?? input.dataset.deskWords);
  const limits = input.dataset;
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
  // What the server would refuse is said at once, and the rest kept.
  const allowed = (list) => {
    const room = Number(limits.maxFiles) - field.querySelectorAll("[name=intent][value^=remove-]").length;
    const small = list.filter((file) => file.size <= Number(limits.maxBytes));
    complain(small.length < list.length ? limits.tooLarge : small.length > room ? limits.tooMany : "");
    return small.slice(0, room);
  };
  const complain = (text) => {
    document.getElementById("screenshots-error")?.remove();
    const said = Object.assign(document.createElement("p"), { className: "field-error", textContent: text });
    complaint.replaceChildren(...text ? [said] : []);
    if (text) input.setAttribute("aria-invalid", "true");
    else input.removeAttribute("aria-invalid");
  };
  const preview = (file, index) => {
    const item = document.createElement("li");
    const canvas = document.createElement("canvas");
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", fill(words.screenshot, { number: index + 1, name: file.name }));
    const edit = button(words.black_out, () => blackOut(file, words, (edited) => commit(files.with(index, edited))));
    draw(canvas, file, words).then((isDrawn) => isDrawn || edit.remove());
    item.append(canvas, edit, button(words.remove, () => commit(files.toSpliced(index, 1))));
    return item;
  };

  // Choosing more adds to what was chosen, pasted or dropped before.
  input.addEventListener("change", () => {
    const isNew = (file) => !files.some((known) => known.name === file.name && known.size === file.size);
    commit(allowed([...files, ...[...input.files].filter(isNew)]));
  });
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

async function draw(canvas, file, words) {
  try {
    const picture = await createImageBitmap(file);
    canvas.width = picture.width;
    canvas.height = picture.height;
    canvas.getContext("2d").drawImage(picture, 0, 0);
    return true;
  } catch {
    canvas.replaceWith(Object.assign(document.createElement("span"), { textContent: fill(words.not_a_picture, { name: file.name }) }));
    return false; // The server says what is wrong with it.
  }
}

// Boxes are drawn into the picture itself: what is black is gone before the picture leaves the browser.
async function blackOut(file, words, done) {
  const dialog = document.createElement("dialog");
  dialog.className = "blackout";
  const canvas = document.createElement("canvas");
  const hint = Object.assign(document.createElement("p"), { id: "black-out-hint", textContent: words.black_out_hint });
  const row = Object.assign(document.createElement("div"), { className: "row" });
  canvas.tabIndex = 0;
  canvas.setAttribute("role", "application");
  canvas.setAttribute("aria-label", words.black_out);
  canvas.setAttribute("aria-describedby", hint.id);
  dialog.setAttribute("aria-labelledby", hint.id);
  dialog.append(hint, canvas, row);
  document.body.append(dialog);
  await draw(canvas, file, words);
  const original = await createImageBitmap(canvas);
  const context = canvas.getContext("2d");
  const boxes = [];
  const repaint = () => {
    context.drawImage(original, 0, 0);
    context.fillStyle = "#000";
    for (const box of boxes) context.fillRect(box.x, box.y, box.width, box.height);
  };
  dragBoxes(canvas, boxes, repaint);
  keyBoxes(canvas, boxes, repaint);
  const close = () => { dialog.close(); dialog.remove(); };
  const save = button(words.done, () => canvas.toBlob((blob) => {
    done(new File([blob], file.name.replace(/\.\w+$/, "") + ".png", { type: "image/png" }));
    close();
  }, "image/png"));
  save.classList.replace("quiet", "primary");
  row.append(button(words.undo, () => { boxes.pop(); repaint(); }), button(words.cancel, close), save);
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

// Enter begins a box in the middle, arrow keys move it, with Shift they change its size.
function keyBoxes(canvas, boxes, repaint) {
  const ways = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  canvas.addEventListener("keydown", (event) => {
    const step = canvas.width * KEY_STEP;
    const box = boxes.at(-1);
    const way = ways[event.key];
    if (event.key === "Enter") {
      const [width, height] = [canvas.width / 4, canvas.height / 8];
      boxes.push({ x: (canvas.width - width) / 2, y: (canvas.height - height) / 2, width, height });
    } else if (way && box) {
      const [across, down] = event.shiftKey ? ["width", "height"] : ["x", "y"];
      box[across] += way[0] * step;
      box[down] += way[1] * step;
    } else {
      return;
    }
    event.preventDefault();
    repaint();
  });
}

document.querySelectorAll("[data-screenshots]").forEach(screenshots);
