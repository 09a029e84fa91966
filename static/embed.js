// Opens tracedesk's form on a page of yours, or sends a report by itself. What it needs is in docs/embed.md.
(() => {
  const script = document.currentScript;
  const base = new URL(script.dataset.base ?? script.src).origin;
  const key = script.dataset.key;
  const READY_WITHIN_MS = 5000;

  const WORDS = {
    en: { title: "Report a problem", close: "Close", refused: "The form can't be shown here.", open: "Open it in a new tab" },
    de: { title: "Ein Problem melden", close: "Schließen", refused: "Das Formular kann hier nicht gezeigt werden.", open: "In einem neuen Tab öffnen" },
    zh: { title: "报告问题", close: "关闭", refused: "此处无法显示表单。", open: "在新标签页中打开" },
  };
  const language = (script.dataset.lang || document.documentElement.lang || navigator.language).slice(0, 2).toLowerCase();
  const words = WORDS[language] ?? WORDS.en;

  const STYLE = `
    dialog { box-sizing: border-box; width: min(40rem, 100vw - 2rem); height: min(50rem, 100dvh - 2rem); max-width: none; max-height: none;
      padding: 0; border: 0; border-radius: 12px; overflow: hidden; color-scheme: light dark; background: Canvas; color: CanvasText;
      box-shadow: 0 1rem 3rem rgb(0 0 0 / 0.3); font: 1rem/1.5 system-ui, sans-serif; }
    dialog[open] { display: flex; flex-direction: column; }
    dialog::backdrop { background: rgb(10 15 25 / 0.5); }
    header { display: flex; align-items: center; justify-content: space-between; gap: 1rem; padding: 0.5rem 0.5rem 0.5rem 1.25rem; border-bottom: 1px solid color-mix(in srgb, CanvasText 15%, Canvas); }
    h2 { margin: 0; font-size: 1rem; }
    button { width: 2.75rem; height: 2.75rem; border: 0; border-radius: 8px; background: none; color: inherit; font-size: 1.5rem; line-height: 1; cursor: pointer; }
    button:hover { background: color-mix(in srgb, CanvasText 8%, Canvas); }
    iframe { flex: 1; width: 100%; border: 0; }
    p { margin: 0; padding: 1.25rem; }
    a { color: LinkText; }
    [hidden] { display: none; }
    @media (max-width: 40rem) { dialog { width: 100vw; height: 100dvh; border-radius: 0; } }`;

  function element(name, properties, ...children) {
    const made = Object.assign(document.createElement(name), properties);
    made.append(...children);
    return made;
  }

  // A moment as the form and the API read it; undefined fields are left out.
  function fields(details) {
    const given = Object.entries(details).filter(([, value]) => value !== undefined && value !== null);
    return Object.fromEntries(given.map(([name, value]) => [name, value instanceof Date ? value.toISOString() : String(value)]));
  }

  let shown = null;

  /** Opens the form; resolves when it is closed, with `{ reference, url }` if a report was sent, else `null`. */
  function open(details = {}) {
    return shown ??= show(fields({ page_url: location.href, ...details })).finally(() => { shown = null; });
  }

  function show(filled) {
    const frame = element("iframe", {
      title: words.title,
      src: `${base}/embed?${new URLSearchParams({ ...filled, embed_key: key, embed_origin: location.origin, lang: language })}`,
    });
    const away = element("a", { href: `${base}/?${new URLSearchParams({ ...filled, lang: language })}`, target: "_blank", rel: "noopener", textContent: words.open });
    const refused = element("p", { hidden: true }, `${words.refused} `, away);
    const close = element("button", { type: "button", textContent: "×", ariaLabel: words.close });
    const dialog = element("dialog", { ariaLabel: words.title },
      element("header", {}, element("h2", { textContent: words.title }), close), frame, refused);
    const host = element("div", { id: "tracedesk" });
    const root = host.attachShadow({ mode: "open" });
    // Such a sheet needs no permission of the page's style-src.
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(STYLE);
    root.adoptedStyleSheets = [sheet];
    root.append(dialog);
    document.body.append(host);
    dialog.showModal();

    return new Promise((done) => {
      let result = null, isReady = false;
      const refuse = () => {
        if (isReady) return;
        frame.hidden = true;
        refused.hidden = false;
        away.focus();
      };
      const listen = ({ source, origin, data }) => {
        if (source !== frame.contentWindow || origin !== base) return;
        if (data.type === "tracedesk:ready") {
          isReady = true;
          frame.focus();
        } else if (data.type === "tracedesk:sent") {
          result = { reference: data.reference, url: data.url };
        } else if (data.type === "tracedesk:close") {
          dialog.close();
        }
      };
      addEventListener("message", listen);
      // A frame that the browser refused loads, too, but never says that it is ready.
      frame.addEventListener("load", () => setTimeout(refuse, READY_WITHIN_MS));
      close.addEventListener("click", () => dialog.close());
      dialog.addEventListener("close", () => {
        removeEventListener("message", listen);
        host.remove();
        done(result);
      });
    });
  }

  /** Sends a report by itself; resolves with `{ reference, url }`. What is refused throws, with `status` and `errors`. */
  async function report({ screenshots = [], ...details }) {
    const filled = fields({ page_url: location.href, occurred_at: new Date(), ...details });
    const headers = { authorization: `Bearer ${key}` };
    let body = JSON.stringify(filled);
    if (screenshots.length) {
      body = new FormData();
      for (const [name, value] of Object.entries(filled)) body.append(name, value);
      for (const file of screenshots) body.append("attachments", file, file.name ?? "screenshot");
    } else {
      headers["content-type"] = "application/json";
    }
    const response = await fetch(`${base}/api/v1/tickets`, { method: "POST", headers, body, credentials: "omit" });
    const answer = await response.json();
    if (response.ok) return { reference: answer.reference, url: answer.url };
    throw Object.assign(new Error(answer.detail), { status: response.status, errors: answer.errors ?? [], traceId: answer.trace_id });
  }

  // <button data-tracedesk data-trace-id="..."> opens the form without a line of script.
  document.addEventListener("click", (event) => {
    const opener = event.target.closest?.("[data-tracedesk]");
    if (!opener) return;
    event.preventDefault();
    const { traceId: trace_id, pageUrl: page_url, occurredAt: occurred_at, kind } = opener.dataset;
    open(fields({ trace_id, page_url, occurred_at, kind }));
  });

  window.tracedesk = { open, report };
})();
