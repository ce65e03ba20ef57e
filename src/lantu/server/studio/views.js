// The two views, drawing and chat; the URL's fragment selects one.

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
  // Status and errors move to the visible view.
  document.querySelector(`#${view} [data-desk-place]`).append(document.getElementById("desk"));
}

export function startViews() {
  // Open the settings if there is room.
  document.getElementById("settings").open = matchMedia("(min-width: 1101px)").matches;
  window.addEventListener("hashchange", show);
  show();
}

export function showView(view) {
  if (current() === view) return;
  history.pushState(null, "", `#${view}`);
  show();
}
