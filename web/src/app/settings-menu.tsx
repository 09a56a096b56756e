/** Language and appearance. */
import { useState, type ReactElement } from 'react';
import { useTranslation } from 'react-i18next';
import { isLanguage, setLanguage } from '../i18n/i18n.ts';
import { LANGUAGES, LANGUAGE_NAMES } from '../i18n/texts.ts';
import { useLanguage } from '../i18n/use-language.ts';
import { IconButton } from '../ui/button.tsx';
import { Menu, MenuChoices, MenuLine } from '../ui/menu.tsx';
import { setTheme, theme, THEMES } from './theme.ts';

export function SettingsMenu(): ReactElement {
  const { t } = useTranslation();
  const lang = useLanguage();
  const [shown, setShown] = useState(theme);
  return (
    <Menu trigger={<IconButton icon="globe" label={`${t('nav.settings')}: ${LANGUAGE_NAMES[lang]}`} />}>
      <MenuChoices
        label={t('settings.language')}
        value={lang}
        choices={LANGUAGES.map((value) => ({ value, label: LANGUAGE_NAMES[value], lang: value }))}
        onChange={(value) => {
          if (isLanguage(value)) void setLanguage(value);
        }}
      />
      <MenuLine />
      <MenuChoices
        label={t('settings.theme')}
        value={shown}
        choices={THEMES.map((value) => ({ value, label: t(`settings.${value}`) }))}
        onChange={(value) => {
          const chosen = THEMES.find((one) => one === value) ?? 'system';
          setTheme(chosen);
          setShown(chosen);
        }}
      />
    </Menu>
  );
}
