// The switch between light and dark; the system's setting is the default.

import { label, tell } from "./words.js";

const button = document.getElementById("theme");
const system = matchMedia("(prefers-color-scheme: dark)");

function dark() {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : system.matches;
}

function name() {
  const other = dark() ? "light" : "dark";
  tell(button, `theme_${other}`);
  label(button, `theme_label_${other}`);
}

export function startTheme() {
  label(document.getElementById("language"), "language_label");
  tell(document.getElementById("language"), "language");
  name();
  system.addEventListener("change", name);
  button.addEventListener("click", () => {
    const theme = dark() ? "light" : "dark";
    document.documentElement.dataset.theme = theme;
    try {
      localStorage.setItem("lantu-theme", theme); // theme.js reads it
    } catch {
      // Storage is disabled: the choice lasts until the page is closed.
    }
    name();
  });
}
