// Small conveniences of every page. Each page works without them.

const REFRESH_FALLBACK_SECONDS = 10;
// What is said on public pages, in their language; the desk is English.
const WORDS = JSON.parse(document.body.dataset.words ?? '{"copied": "Copied", "copy_by_hand": "Select it and copy by hand"}');

function copyButtons() {
  document.addEventListener("click", async (event) => {
    const button = event.target.closest?.("[data-copy]");
    if (!button) return;
    const label = button.dataset.label ??= button.textContent;
    try {
      await navigator.clipboard.writeText(button.dataset.copy);
      button.textContent = WORDS.copied;
    } catch {
      button.textContent = WORDS.copy_by_hand;
    }
    setTimeout(() => { button.textContent = label; }, 2000);
  });
}

// Puts a ready sentence into a text box, where the cursor is.
function insertButtons() {
  document.addEventListener("click", (event) => {
    const button = event.target.closest?.("[data-insert]");
    if (!button) return;
    const box = document.getElementById(button.dataset.into);
    box.setRangeText(button.dataset.insert, box.selectionStart, box.selectionEnd, "end");
    box.focus();
  });
}

// A second click on "Send" must not send twice. Coming back by the Back button allows it again.
function sendOnce() {
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.method !== "post" || event.defaultPrevented) return;
    if (form.dataset.sent) event.preventDefault();
    form.dataset.sent = "yes";
    setTimeout(() => { delete form.dataset.sent; }, 5000);
  });
  addEventListener("pageshow", () => {
    for (const form of document.forms) delete form.dataset.sent;
  });
}

function keys() {
  document.addEventListener("keydown", (event) => {
    if (event.target.matches?.("textarea") && event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.target.form?.requestSubmit();
    } else if ((event.key === "j" || event.key === "k") && !isTyping(event)) {
      stepThroughQueue(event.key === "j" ? 1 : -1);
    } else if (event.key === "/" && !event.defaultPrevented && !isTyping(event)) {
      const search = document.querySelector(".search input");
      if (search) {
        event.preventDefault();
        search.focus();
        search.select();
      }
    }
  });
}

// As in mail programs: j and k walk the queue, Enter opens.
function stepThroughQueue(step) {
  const links = [...document.querySelectorAll("a.q-open")];
  const now = links.indexOf(document.activeElement);
  const next = now < 0 ? (step > 0 ? 0 : links.length - 1) : now + step;
  links[next]?.focus();
}

function isTyping(event) {
  return event.ctrlKey || event.metaKey || event.altKey || event.target.matches?.("input, textarea, select");
}

// The time that a reporter picks is local; the server needs to know how far that is from UTC, at that time of year.
function utcOffset() {
  const hidden = document.querySelector("[data-utc-offset]");
  if (!hidden) return;
  const picked = document.getElementById(hidden.dataset.utcOffset);
  const update = () => {
    const at = picked.value ? new Date(picked.value) : new Date();
    hidden.value = Number.isNaN(at.getTime()) ? "" : String(-at.getTimezoneOffset());
  };
  const local = (moment) => new Date(moment - new Date(moment).getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
  const localNow = () => local(Date.now());
  // A link says the moment in UTC; the picker is local.
  if (picked.value && hidden.value) {
    const moment = Date.parse(`${picked.value}Z`) - hidden.value * 60_000;
    if (!Number.isNaN(moment)) picked.value = local(moment);
  }
  picked.max = localNow();
  document.getElementById("when-at")?.addEventListener("change", () => {
    picked.value ||= localNow();
    update();
  });
  picked.addEventListener("input", update);
  update();
}

// What may change by itself (`data-refresh`, in seconds) fetches its page while it is looked at. A list is swapped where
// it changed, so that focus and scroll stay; a panel with a `data-state` is replaced when the state is another one.
function refreshing() {
  const first = document.querySelector("[data-refresh]");
  if (!first) return;
  const refresh = async () => {
    const part = document.querySelector("[data-refresh]");
    if (document.hidden || !part) return;
    try {
      const response = await fetch(location.href, { headers: { accept: "text/html" } });
      if (response.redirected || response.status === 401) return location.reload();
      if (!response.ok) return;
      const page = new DOMParser().parseFromString(await response.text(), "text/html");
      const fresh = page.getElementById(part.id);
      if (fresh && part.dataset.state) replacePanel(part, fresh);
      else if (fresh) swapList(part, fresh);
    } catch {
      // Offline, or the server restarts: the next round tries again.
    }
  };
  setInterval(refresh, (Number(first.dataset.refresh) || REFRESH_FALLBACK_SECONDS) * 1000);
  document.addEventListener("visibilitychange", refresh);
}

function swapList(list, fresh) {
  if (fresh.innerHTML === list.dataset.shown) return;
  list.dataset.shown = fresh.innerHTML;
  const links = () => [...list.querySelectorAll("a.q-open")];
  const known = new Set(links().map((link) => link.getAttribute("href")));
  const focused = list.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
  list.replaceChildren(...fresh.childNodes);
  for (const link of links()) {
    const href = link.getAttribute("href");
    if (!known.has(href)) link.closest("tr").classList.add("is-new");
    if (href === focused) link.focus({ preventScroll: true });
  }
}

// A waterfall needs its script, so the page is loaded anew, but never under someone who is writing.
function replacePanel(panel, fresh) {
  if (fresh.dataset.state === panel.dataset.state) return;
  localTimes(fresh);
  if (!fresh.querySelector("[data-waterfall]")) return panel.replaceWith(fresh);
  if (!isWriting()) return location.reload();
  panel.removeAttribute("data-refresh");
  const note = document.createElement("p");
  note.className = "done";
  note.setAttribute("role", "status");
  note.textContent = "The trace has arrived. It shows when you reload this page, or send your answer.";
  panel.prepend(note);
}

function isWriting() {
  return [...document.querySelectorAll("main textarea, main input")].some((field) => field.value !== field.defaultValue);
}

// "Thank you" is said once: the address that a reporter keeps is that of the ticket alone.
function keepLinkClean() {
  if (new URLSearchParams(location.search).has("sent") || new URLSearchParams(location.search).has("rated")) history.replaceState(null, "", location.pathname);
}

// Times of public pages are the reporter's own; `title` and `datetime` keep the exact ones. Seconds say nothing here.
const LOCALE = document.documentElement.lang === "en" ? "en-GB" : document.documentElement.lang;
export function localTimes(part = document) {
  for (const time of part.querySelectorAll("time[data-local]")) {
    const clock = { hour: "2-digit", minute: "2-digit", hourCycle: "h23", timeZoneName: "short" };
    const style = time.dataset.local === "date" ? { day: "numeric", month: "short", year: "numeric", ...clock } : clock;
    time.title ||= time.textContent;
    time.textContent = new Intl.DateTimeFormat(LOCALE, style).format(new Date(time.dateTime));
  }
}

copyButtons();
localTimes();
insertButtons();
sendOnce();
keys();
utcOffset();
refreshing();
keepLinkClean();
