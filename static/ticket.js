// The reporter's page, live: asks whether there is news while it is looked at, and puts in place what changed. What is
// being typed stays: the reply box is no part of it, and a part that is in use waits. Without a script one loads the page
// again.

import { localTimes } from "./app.js";

// The first look, how much longer each next one waits, and the longest wait: about 80 looks in the first hour.
const FIRST_MS = 3000;
const FACTOR = 1.3;
const LONGEST_MS = 60_000;

function live(page) {
  const note = document.getElementById("live-note");
  let tag = page.dataset.live;
  let wait = FIRST_MS;
  let timer, looking = false;

  const look = async () => {
    clearTimeout(timer);
    if (document.hidden || looking) return;
    looking = true;
    try {
      const headers = { accept: "text/html", ...(tag ? { "if-none-match": tag } : {}) };
      const response = await fetch(location.pathname, { headers, cache: "no-store" });
      if (response.status === 200) {
        const fresh = new DOMParser().parseFromString(await response.text(), "text/html");
        if (show(fresh)) {
          tag = response.headers.get("etag") ?? "";
          wait = FIRST_MS;
        }
      }
    } catch {
      // Offline, or the server restarts: the next look tries again.
    }
    looking = false;
    timer = setTimeout(look, wait);
    wait = Math.min(wait * FACTOR, LONGEST_MS);
  };

  // Whether all of it could be shown.
  const show = (fresh) => {
    const said = () => page.querySelectorAll(".by-staff").length;
    const [answers, title] = [said(), page.querySelector("h1").textContent];
    let isWhole = true;
    for (const part of page.querySelectorAll("[data-live-part]")) {
      const next = fresh.getElementById(part.id);
      if (!next) continue;
      localTimes(next);
      if (next.innerHTML === part.innerHTML) continue;
      if (isInUse(part)) isWhole = false;
      else part.replaceChildren(...next.childNodes);
    }
    const now = page.querySelector("h1").textContent;
    if (said() > answers) note.textContent = page.dataset.answered;
    else if (now !== title) note.textContent = now;
    return isWhole;
  };

  document.addEventListener("visibilitychange", () => {
    wait = FIRST_MS;
    look();
  });
  timer = setTimeout(look, wait);
}

function isInUse(part) {
  const fields = [...part.querySelectorAll("input:not([type=hidden]), textarea")];
  return part.contains(document.activeElement) || fields.some((field) => field.value !== field.defaultValue);
}

const page = document.querySelector("[data-live]");
if (page) live(page);
