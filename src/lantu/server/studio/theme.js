// A classic script in the head: the theme that was chosen must be there before anything is painted.
try {
  const theme = localStorage.getItem("lantu-theme");
  if (theme) document.documentElement.dataset.theme = theme;
} catch {
  // Storage is forbidden: the system's theme it is.
}
