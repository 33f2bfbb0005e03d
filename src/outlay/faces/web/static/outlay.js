// The page works without this file. It adds a button that switches the theme, and sends the form when a choice changes.
const root = document.documentElement;
const button = document.querySelector("button.theme");
const wanted = () => { try { return localStorage.getItem("outlay-theme"); } catch { return null; } };
const dark = () => (root.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
if (wanted()) root.dataset.theme = wanted();
button.hidden = false;
button.addEventListener("click", () => {
  root.dataset.theme = dark() ? "light" : "dark";
  try { localStorage.setItem("outlay-theme", root.dataset.theme); } catch { /* a private window forgets */ }
});
const form = document.querySelector("form.filters");
if (form) {
  form.classList.add("live");
  form.addEventListener("change", () => form.requestSubmit());
}
