// The two views, drawing and talking; the address names the one that is shown.

const VIEWS = ["draw", "talk"];

function current() {
  const asked = location.hash.slice(1);
  return VIEWS.includes(asked) ? asked : "draw";
}

function show() {
  const view = current();
  document.body.dataset.view = view;
  for (const name of VIEWS) document.getElementById(name).hidden = name !== view;
  for (const link of document.querySelectorAll("[data-view-link]")) {
    if (link.dataset.viewLink === view) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  // How it stands, and what went wrong, is said where one looks.
  document.querySelector(`#${view} [data-desk-place]`).append(document.getElementById("desk"));
}

export function startViews() {
  // Where there is room the dials stand open.
  document.getElementById("dials").open = matchMedia("(min-width: 1101px)").matches;
  window.addEventListener("hashchange", show);
  show();
}

export function showView(view) {
  if (current() === view) return;
  history.pushState(null, "", `#${view}`);
  show();
}
