// Keeps the page up to date: when the server reports a change, fetches the page again and replaces its content.
"use strict";

const live = document.getElementById("live");
const PAUSE = 1000; // milliseconds between two updates: a busy mesh changes all the time
let wanted = false;
let busy = false;

function isWriting() {
  const active = document.activeElement;
  return active !== null && active.matches("input, select, textarea");
}

async function renew() {
  if (busy || document.hidden || isWriting()) {
    wanted = true;
    return;
  }
  busy = true;
  wanted = false;
  try {
    const answer = await fetch(location.href, { headers: { accept: "text/html" } });
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    const old = document.getElementById("main");
    const now = fresh.getElementById("main");
    if (now !== null && now.innerHTML !== old.innerHTML) {
      put(old, now);
    }
  } catch {
    wanted = true;
  } finally {
    setTimeout(() => {
      busy = false;
      if (wanted) renew();
    }, PAUSE);
  }
}

function put(old, now) {
  // Keep closed sections closed, and the keyboard focus where it is.
  for (const each of old.querySelectorAll("details[id]")) {
    const same = now.querySelector(`details[id="${CSS.escape(each.id)}"]`);
    if (same !== null) {
      same.open = each.open;
    }
  }
  const links = [...old.querySelectorAll("a, summary, [tabindex]")];
  const at = links.indexOf(document.activeElement);
  const scrolled = [...old.querySelectorAll(".wide")].map((each) => each.scrollLeft);
  old.replaceChildren(...now.childNodes);
  if (at >= 0) {
    [...old.querySelectorAll("a, summary, [tabindex]")][at]?.focus({ preventScroll: true });
  }
  old.querySelectorAll(".wide").forEach((each, index) => (each.scrollLeft = scrolled[index] ?? 0));
}

function follow() {
  const news = new EventSource("/news");
  news.onopen = () => {
    live.textContent = "live";
    live.className = "live on";
    renew();
  };
  news.onerror = () => {
    live.textContent = "the server does not answer";
    live.className = "live off";
  };
  news.addEventListener("changed", renew);
}

document.addEventListener("visibilitychange", () => wanted && renew());
document.addEventListener("focusout", () => wanted && setTimeout(renew));
follow();
