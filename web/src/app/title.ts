/** The title of the tab: the page's own, and before it how many identifications were decided unseen. */
let page = '';
let unseen = 0;

function show(): void {
  // Before the first heading there is the title of index.html.
  if (page === '') return;
  document.title = unseen > 0 ? `(${unseen}) ${page}` : page;
}

export function setPageTitle(title: string): void {
  page = title;
  show();
}

/** Also on the icon of the installed app, where the system has such a thing. */
export function setBadge(count: number): void {
  unseen = count;
  show();
  if (!('setAppBadge' in navigator)) return;
  const done = count > 0 ? navigator.setAppBadge(count) : navigator.clearAppBadge();
  // Refused where the app is not installed: the title says it there.
  done.catch(() => undefined);
}
