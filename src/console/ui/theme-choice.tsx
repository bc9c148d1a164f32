// The choice of a theme.
import { chooseTheme, THEMES, type Theme, theme } from "../theme.ts";

const THEME_NAMES: Readonly<Record<Theme, string>> = {
  system: "System",
  light: "Light",
  dark: "Dark",
};

export function ThemeChoice() {
  return (
    <>
      <label class="unseen" for="theme">
        Theme
      </label>
      <select
        id="theme"
        value={theme.value}
        onChange={(event) => chooseTheme(event.currentTarget.value as Theme)}
      >
        {THEMES.map((each) => (
          <option key={each} value={each} selected={each === theme.value}>
            {THEME_NAMES[each]}
          </option>
        ))}
      </select>
    </>
  );
}
