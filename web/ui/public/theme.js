// Runs before the first paint, so that a dark page never flashes white. It is a file of its own
// because the server's content security policy allows no inline script.
(() => {
  let theme = "system";
  let lang = "";
  try {
    theme = localStorage.getItem("docent.theme") || "system";
    lang = localStorage.getItem("docent.language") || "";
  } catch {
    // Storage is switched off: the defaults serve.
  }
  const dark =
    theme === "dark" || (theme === "system" && matchMedia("(prefers-color-scheme: dark)").matches);
  document.documentElement.dataset.theme = dark ? "dark" : "light";
  const wanted = lang || navigator.language || "en";
  document.documentElement.lang = wanted.toLowerCase().startsWith("zh") ? "zh-CN" : "en";
})();
