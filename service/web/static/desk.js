// The desk works without this file; with it, keys are quicker and htmx's requests carry the form's proof.
(() => {
  "use strict";
  const typing = (target) => target.closest("input, textarea, select, [contenteditable]") !== null;
  const keys = { n: "/clients/new", c: "/calls", t: "/", "?": "/keys" };

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (event.key === "Escape") {
      const open = document.querySelector("details[open].closes");
      if (open) open.removeAttribute("open");
      else if (typing(event.target)) event.target.blur();
      else if (document.referrer.startsWith(`${window.location.origin}/`)) window.history.back();
      return;
    }
    if (typing(event.target)) return;
    if (event.key === "/") {
      const box = document.querySelector("input[type=search]");
      event.preventDefault();
      if (box) box.focus();
      else window.location.assign("/clients?focus=search");
    } else if (/^[a-z]$/.test(event.key) && document.querySelector(`a[data-key=${event.key}]`)) {
      event.preventDefault();
      document.querySelector(`a[data-key=${event.key}]`).click();
    } else if (keys[event.key]) {
      event.preventDefault();
      window.location.assign(keys[event.key]);
    }
  });

  document.addEventListener("htmx:configRequest", (event) => {
    event.detail.headers["X-CSRF"] = document.body.dataset.csrf;
  });

  // A second click on the same button sends nothing twice.
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (event.submitter && event.submitter.formTarget) return; // a preview: shown beside, as often as you like
    if (form.hasAttribute("data-download")) return; // a file: this page stays, and may give another one
    if (form.dataset.sent) event.preventDefault();
    else if (form.method === "post" && !form.hasAttribute("hx-post")) form.dataset.sent = "yes";
  });
  window.addEventListener("pageshow", () => {
    for (const form of document.querySelectorAll("form[data-sent]")) delete form.dataset.sent;
  });

  // The preview follows what is typed, once the fingers rest.
  const source = document.getElementById("source");
  const show = document.getElementById("show");
  if (source && show) {
    let resting;
    source.addEventListener("input", () => {
      clearTimeout(resting);
      resting = setTimeout(() => show.click(), 800);
    });
  }

  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-print]")) window.print();
  });

  const errors = document.getElementById("errors");
  if (errors) errors.focus();
})();
