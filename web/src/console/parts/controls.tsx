/** Compact controls: 36 px under a mouse, 44 under a thumb. */
import type { ButtonHTMLAttributes, ReactElement, ReactNode, SelectHTMLAttributes } from 'react';
import { Icon, type IconName } from '../../ui/icons.tsx';

const TONES = {
  plain: 'border-edge bg-surface text-ink hover:bg-sunk',
  solid: 'border-transparent bg-leaf text-on-leaf hover:opacity-90',
  quiet: 'border-transparent bg-transparent text-ink hover:bg-sunk',
  end: 'border-transparent bg-transparent text-deadly hover:bg-deadly-wash',
  grave: 'border-deadly bg-surface text-deadly hover:bg-deadly-wash',
} as const;

interface SmallButtonProps extends ButtonHTMLAttributes<HTMLButtonElement> {
  readonly tone?: keyof typeof TONES;
  readonly icon?: IconName;
  readonly children: ReactNode;
}

export function SmallButton({
  tone = 'plain',
  icon,
  children,
  className = '',
  type = 'button',
  ...rest
}: SmallButtonProps): ReactElement {
  return (
    <button
      type={type}
      className={`inline-flex min-h-9 items-center justify-center gap-1.5 rounded-md border px-3 text-xs font-semibold whitespace-nowrap transition-colors disabled:opacity-55 pointer-coarse:min-h-11 ${TONES[tone]} ${className}`}
      {...rest}
    >
      {icon && <Icon name={icon} size={16} />}
      {children}
    </button>
  );
}

interface ChoiceProps extends SelectHTMLAttributes<HTMLSelectElement> {
  readonly label: string;
  readonly choices: readonly { readonly value: string; readonly label: string }[];
}

/** The system's own list: it is the one that every keyboard, screen reader and phone knows. */
export function Choice({ label, choices, className = '', ...rest }: ChoiceProps): ReactElement {
  return (
    <label className={`inline-flex min-w-0 items-center gap-2 text-xs font-semibold text-soft ${className}`}>
      {label}
      <select
        className="h-9 max-w-44 min-w-0 grow truncate rounded-md border border-edge bg-surface px-2 text-xs text-ink pointer-coarse:h-11"
        {...rest}
      >
        {choices.map(({ value, label: text }) => (
          <option key={value} value={value}>
            {text}
          </option>
        ))}
      </select>
    </label>
  );
}

interface SegmentsProps<T extends string> {
  readonly label: string;
  readonly value: T;
  readonly choices: readonly { readonly value: T; readonly label: string }[];
  readonly onChange: (value: T) => void;
}

/** One of a few, all in sight. */
export function Segments<T extends string>({ label, value, choices, onChange }: SegmentsProps<T>): ReactElement {
  return (
    <fieldset className="max-w-full min-w-0 overflow-x-auto rounded-md border border-line bg-sunk p-0.5">
      <legend className="sr-only">{label}</legend>
      <div className="flex">
        {choices.map((choice) => (
          <label
            key={choice.value}
            className="relative flex min-h-8 cursor-pointer items-center rounded-sm px-2.5 text-xs font-semibold whitespace-nowrap text-soft has-checked:bg-surface has-checked:text-ink has-checked:shadow-low has-focus-visible:outline-3 has-focus-visible:outline-leaf pointer-coarse:min-h-10"
          >
            <input
              type="radio"
              name={label}
              value={choice.value}
              checked={choice.value === value}
              onChange={() => onChange(choice.value)}
              className="absolute inset-0 size-full cursor-pointer opacity-0"
            />
            {choice.label}
          </label>
        ))}
      </div>
    </fieldset>
  );
}
