// The search: a box with a list below it. The index comes when the box is first used.
import { announce, element } from "./elements.ts";
import type { Found } from "./search.ts";

const LIST = "search-results";

export function addSearch(place: HTMLElement): void {
  const indexUrl = place.dataset.index ?? "";
  const input = element("input", {
    ...{ type: "search", id: "search-input", placeholder: "Search", autocomplete: "off" },
    ...{ role: "combobox", "aria-label": "Search the documentation", "aria-expanded": "false" },
    ...{ "aria-controls": LIST, "aria-autocomplete": "list", "aria-keyshortcuts": "/" },
  });
  input.spellcheck = false;
  const list = element("ul", { id: LIST, role: "listbox", "aria-label": "Results" });
  const note = element("p", { class: "note-line" });
  const panel = element("div", { class: "results" }, note, list);
  panel.hidden = true;
  place.append(input, element("kbd", { "aria-hidden": "true" }, "/"), panel);
  let chosen = -1;
  let asked = 0;

  const close = () => {
    panel.hidden = true;
    input.setAttribute("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
    chosen = -1;
  };
  const say = (text: string) => {
    note.textContent = text;
    announce(text);
  };
  const choose = (which: number) => {
    const options = list.querySelectorAll<HTMLElement>("[role=option]");
    if (options.length === 0) return;
    options[chosen]?.setAttribute("aria-selected", "false");
    chosen = (which + options.length) % options.length;
    const option = options[chosen] as HTMLElement;
    option.setAttribute("aria-selected", "true");
    option.scrollIntoView({ block: "nearest" });
    input.setAttribute("aria-activedescendant", option.id);
  };
  const show = (found: readonly Found[], total: number) => {
    list.replaceChildren(...found.map(optionOf));
    panel.hidden = false;
    input.setAttribute("aria-expanded", String(found.length > 0));
    input.removeAttribute("aria-activedescendant");
    chosen = -1;
    const more = total > found.length ? `, the first ${found.length} are shown` : "";
    say(total === 0 ? "No results" : `${total} ${total === 1 ? "result" : "results"}${more}`);
  };
  const find = async () => {
    const query = input.value.trim();
    const mine = ++asked;
    if (query === "") return close();
    try {
      const { search } = await import("./search.ts");
      const { found, total } = await search(indexUrl, query);
      if (mine === asked) show(found, total);
    } catch {
      if (mine !== asked) return;
      list.replaceChildren();
      panel.hidden = false;
      say("The search cannot be loaded. Load the page again.");
    }
  };

  input.addEventListener("focus", () => void import("./search.ts").catch(() => {}), { once: true });
  input.addEventListener("input", () => void find());
  input.addEventListener("focus", () => void find());
  input.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      event.preventDefault();
      if (panel.hidden) input.value = "";
      else close();
    } else if (event.key === "Enter") {
      const option = list.querySelectorAll<HTMLElement>("[role=option]")[Math.max(0, chosen)];
      if (!panel.hidden) option?.click();
    } else if (!panel.hidden && (event.key === "ArrowDown" || event.key === "ArrowUp")) {
      event.preventDefault();
      const step = event.key === "ArrowDown" ? 1 : -1;
      choose(chosen === -1 && step === -1 ? -1 : chosen + step);
    }
  });
  // A click on a result takes the focus only once it has led there.
  panel.addEventListener("mousedown", (event) => event.preventDefault());
  panel.addEventListener("click", (event) => {
    if (event.target instanceof Element && event.target.closest("a") !== null) close();
  });
  place.addEventListener("focusout", ({ relatedTarget }) => {
    if (!(relatedTarget instanceof Node) || !place.contains(relatedTarget)) close();
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target instanceof Element && event.target.closest("input, textarea, select")) return;
    event.preventDefault();
    input.focus();
    input.select();
  });
}

function optionOf({ url, page, section, snippet }: Found, index: number): HTMLElement {
  const title = section === "" ? page : `${page} › ${section}`;
  const text = snippet.map(({ text: part, isMatch }) =>
    isMatch ? element("mark", {}, part) : part,
  );
  const option = element(
    "a",
    {
      ...{ href: url, role: "option", id: `search-result-${index}`, tabindex: "-1" },
      "aria-selected": "false",
    },
    element("strong", {}, title),
    element("span", {}, ...text),
  );
  return element("li", { role: "presentation" }, option);
}
