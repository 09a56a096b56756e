// Before the first paint: the language and the theme that were chosen, or those of the browser.
(() => {
  const root = document.documentElement;
  let language = null;
  let theme = null;
  try {
    language = localStorage.getItem('postern.language');
    theme = localStorage.getItem('postern.theme');
  } catch {
    // Storage may be refused; then the browser's settings count.
  }
  const known = ['en', 'ko'];
  const wanted = known.includes(language)
    ? language
    : (navigator.languages ?? []).map((tag) => tag.slice(0, 2)).find((tag) => known.includes(tag));
  root.lang = wanted ?? 'en';
  if (theme === 'light' || theme === 'dark') root.dataset.theme = theme;
})();
