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
// A page that says how often it changes is asked again; the old figures stay until the new ones are there.
const main = document.querySelector("main[data-refresh]");
if (main) setInterval(async () => {
  if (document.hidden || main.contains(document.activeElement)) return;
  try {
    const answer = await fetch(location.href);
    if (answer.ok) main.replaceChildren(...new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("main").childNodes);
  } catch { /* the server is away; what is shown says its time */ }
}, main.dataset.refresh * 1000);
