/** Canvas knows no CSS variables: their colours are read where they are used, and again when the theme changes. */
import { useSyncExternalStore } from 'react';

const dark = matchMedia('(prefers-color-scheme: dark)');

function subscribe(changed: () => void): () => void {
  const watch = new MutationObserver(changed);
  watch.observe(document.documentElement, { attributes: true, attributeFilter: ['data-theme'] });
  dark.addEventListener('change', changed);
  return () => {
    watch.disconnect();
    dark.removeEventListener('change', changed);
  };
}

const read = (): string => `${document.documentElement.dataset.theme ?? 'system'} ${dark.matches}`;

/** Changes whenever colours may be others. */
export const useThemeKey = (): string => useSyncExternalStore(subscribe, read);

/** What a CSS colour is here, as `rgb(…)`. */
export function colourOf(element: HTMLElement, colour: string): string {
  const probe = document.createElement('i');
  probe.style.color = colour;
  element.append(probe);
  const { color } = getComputedStyle(probe);
  probe.remove();
  return color;
}
