// The theme: that of the system, or light or dark if somebody has chosen.
import { signal } from "@preact/signals";

export const THEMES = ["system", "light", "dark"] as const;
export type Theme = (typeof THEMES)[number];

const KEPT = "rivulet.theme";

export const theme = signal<Theme>(kept());

function kept(): Theme {
  try {
    const text = localStorage.getItem(KEPT);
    return THEMES.find((each) => each === text) ?? "system";
  } catch {
    return "system"; // The browser keeps nothing for this page.
  }
}

export function chooseTheme(chosen: Theme): void {
  theme.value = chosen;
  showTheme();
  try {
    localStorage.setItem(KEPT, chosen);
  } catch {
    // It holds until the page is left.
  }
}

/** Sets the theme on the document, whose style reads it. */
export function showTheme(): void {
  document.documentElement.dataset.theme = theme.value;
}
