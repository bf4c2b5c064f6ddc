// Light, dark, or as the system has it; remembered by the browser.
import type { JSX } from "preact";
import { useState } from "preact/hooks";

const THEMES = ["system", "light", "dark"] as const;
type Theme = (typeof THEMES)[number];
const GLYPHS: Record<Theme, string> = { system: "◐", light: "☀", dark: "☾" };
const KEY = "nbdag-theme";

function stored(): Theme {
  try {
    const theme = localStorage.getItem(KEY) as Theme;
    return THEMES.includes(theme) ? theme : "system";
  } catch {
    return "system"; // a browser that lets no file:// page store anything
  }
}

function apply(theme: Theme): void {
  document.documentElement.style.colorScheme = theme === "system" ? "light dark" : theme;
}

apply(stored());

export function ThemeButton(): JSX.Element {
  const [theme, set] = useState(stored);
  const next = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length]!;
  const change = () => {
    set(next);
    apply(next);
    try {
      localStorage.setItem(KEY, next);
    } catch {
      // then it is not remembered
    }
  };
  return (
    <button
      type="button"
      class="icon"
      onClick={change}
      title={`Theme: ${theme}`}
      aria-label={`Theme: ${theme}. Change to ${next}`}
    >
      <span aria-hidden="true">{GLYPHS[theme]}</span>
    </button>
  );
}
