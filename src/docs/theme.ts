// Sets the theme that somebody has chosen in the console, before anything is painted. Otherwise the system's holds.
try {
  const theme = localStorage.getItem("rivulet.theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch {
  // The browser keeps nothing for this page.
}
