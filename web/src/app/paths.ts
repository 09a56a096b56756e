/** The addresses of the pages, in one place. The gateway answers all of them with the app (`/`, `/g/…`, `/s/…`, `/about`). */
const part = encodeURIComponent;

export const paths = {
  identify: (guide: string) => `/g/${part(guide)}`,
  entries: (guide: string) => `/g/${part(guide)}/guide`,
  entry: (guide: string, entry: string) => `/g/${part(guide)}/guide/${part(entry)}`,
  ranking: (guide: string) => `/g/${part(guide)}/ranking`,
  mine: (guide: string) => `/g/${part(guide)}/mine`,
  identification: (guide: string, id: string) => `/g/${part(guide)}/mine/${part(id)}`,
  share: (token: string) => `/s/${part(token)}`,
  about: '/about',
} as const;
