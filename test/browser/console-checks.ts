// What a person notices of a page that uses the keyboard alone, and what axe finds wrong with it.
import { AxeBuilder } from "@axe-core/playwright";
import type { Page } from "playwright-core";

/** What has the focus is called so. It runs in the page. */
export const FOCUSED = `(document.activeElement === document.body
  ? []
  : [...(document.activeElement?.labels ?? []), document.activeElement])
  .map((each) => each?.getAttribute("aria-label") ?? each?.textContent)
  .join(" ")`;

/** Goes on with Tab until what has the focus is called so. */
export async function tabTo(page: Page, name: RegExp): Promise<void> {
  for (let i = 0; i < 200; i++) {
    await page.keyboard.press("Tab");
    const called = await page.evaluate<string>(FOCUSED);
    if (name.test(called.trim())) return;
  }
  throw new Error(`the keyboard does not reach ${name}`);
}

const TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"];

/** Returns what axe finds wrong with a page as it is. */
export async function violationsIn(page: Page): Promise<string[]> {
  const { violations } = await new AxeBuilder({ page }).withTags(TAGS).analyze();
  return violations.flatMap(({ id, nodes }) =>
    nodes.map(({ html, failureSummary }) => `${id}: ${html}: ${failureSummary}`),
  );
}
