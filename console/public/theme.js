// Before the first paint: a page that was told to be dark must not flash white.
try {
  const theme = localStorage.getItem("onhand.theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch {
  // Storage is switched off: the system decides.
}
