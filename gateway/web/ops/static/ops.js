// What the pages do beyond plain HTML: live parts refresh themselves, and forms are sent once.
"use strict";

const seconds = Number(document.body.dataset.refresh || 0);

function busy(part) {
  const focus = document.activeElement;
  return (focus && focus !== document.body && part.contains(focus)) ||
    part.querySelector("details[open]:not(.menu)") !== null;
}

async function refresh() {
  if (document.hidden) return;
  const answer = await fetch(location.href, {
    headers: { "Ops-Refresh": "1" }, credentials: "same-origin", redirect: "manual",
  });
  if (answer.status === 401 || answer.type === "opaqueredirect") {
    location.reload();
    return;
  }
  if (!answer.ok) throw new Error(answer.status);
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const part of document.querySelectorAll("[data-live]")) {
    const fresh = page.getElementById(part.id);
    if (fresh && !busy(part)) part.replaceWith(document.adoptNode(fresh));
  }
  document.body.classList.remove("stale");
}

async function keepFresh() {
  try {
    await refresh();
  } catch {
    // The page says that it is old, and goes on trying.
    document.body.classList.add("stale");
  }
  setTimeout(keepFresh, seconds * 1000);
}

if (seconds > 0) setTimeout(keepFresh, seconds * 1000);

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.dataset.sent) {
    event.preventDefault();
    return;
  }
  if (form.method === "post") form.dataset.sent = "1";
});

// Coming back to a page with the browser's button makes its forms usable again.
window.addEventListener("pageshow", () => {
  for (const form of document.forms) delete form.dataset.sent;
});
