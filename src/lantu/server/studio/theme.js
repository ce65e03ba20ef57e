// A classic script in the head, so that the chosen theme applies before the first paint.
try {
  const theme = localStorage.getItem("lantu-theme");
  if (theme) document.documentElement.dataset.theme = theme;
} catch {
  // Storage is disabled: use the system's theme.
}
