/** The parts of a guide that the menus lead to, in their order. */
import { useTranslation } from 'react-i18next';
import type { IconName } from '../ui/icons.tsx';
import { useGuide } from './guide-context.tsx';
import { paths } from './paths.ts';

export interface Section {
  readonly key: 'identify' | 'guide' | 'ranking' | 'mine';
  readonly to: string;
  /** Is it shown as the present one for its own address alone, and not for those below? */
  readonly end: boolean;
  readonly icon: IconName;
  readonly label: string;
}

export function useSections(): readonly Section[] {
  const { t } = useTranslation();
  const { id } = useGuide().guide;
  return [
    { key: 'identify', to: paths.identify(id), end: true, icon: 'camera', label: t('nav.identify') },
    { key: 'guide', to: paths.entries(id), end: false, icon: 'book', label: t('nav.guide') },
    { key: 'ranking', to: paths.ranking(id), end: false, icon: 'chart', label: t('nav.ranking') },
    { key: 'mine', to: paths.mine(id), end: false, icon: 'clock', label: t('nav.mine') },
  ];
}
