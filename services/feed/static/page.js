// Keeps a page current: when something happened, fetch the page again and swap the parts that differ.
"use strict";
(() => {
  const live = document.querySelector("[data-live]");
  if (!live || !window.EventSource) return;
  let waiting = 0;
  let busy = false;
  const refresh = async () => {
    waiting = 0;
    if (busy || document.hidden) return;
    busy = true;
    try {
      const answer = await fetch(location.href, { headers: { accept: "text/html" } });
      if (!answer.ok) return;
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      for (const old of document.querySelectorAll("[data-part]")) {
        const part = fresh.querySelector(`[data-part="${old.dataset.part}"]`);
        if (!part || part.innerHTML === old.innerHTML) continue;
        const focused = old.contains(document.activeElement) ? document.activeElement.id : "";
        old.replaceChildren(...part.childNodes);
        if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
      }
      const said = fresh.querySelector("[data-said]");
      const here = document.querySelector("[data-said]");
      if (said && here && said.textContent !== here.textContent) here.textContent = said.textContent;
    } finally {
      busy = false;
    }
  };
  const soon = () => {
    if (!waiting) waiting = setTimeout(refresh, 400);
  };
  const events = new EventSource("/api/v1/events?topic=progress&topic=drift");
  for (const type of ["progress.changed", "finding.opened", "finding.worsened", "finding.eased", "finding.closed", "decision.recorded", "reset"]) {
    events.addEventListener(type, soon);
  }
  document.addEventListener("visibilitychange", () => { if (!document.hidden) soon(); });
  setInterval(soon, 60000);
})();
