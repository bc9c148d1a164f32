// The theme: the system's, or light or dark if the user has chosen.
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
    return "system"; // The browser stores nothing for this page.
  }
}

export function chooseTheme(chosen: Theme): void {
  theme.value = chosen;
  showTheme();
  try {
    localStorage.setItem(KEPT, chosen);
  } catch {
    // It lasts until the page is left.
  }
}

/** Sets the theme on the document, whose style reads it. */
export function showTheme(): void {
  document.documentElement.dataset.theme = theme.value;
}
