// Makes elements. Text stays text: nothing here becomes HTML.

type Attributes = Readonly<Record<string, string>>;

export function element<Name extends keyof HTMLElementTagNameMap>(
  name: Name,
  attributes: Attributes = {},
  ...children: readonly (Node | string)[]
): HTMLElementTagNameMap[Name] {
  const made = document.createElement(name);
  for (const [attribute, value] of Object.entries(attributes)) made.setAttribute(attribute, value);
  made.append(...children);
  return made;
}

const status = element("p", { class: "unseen", role: "status" });

/** Has a screen reader say it. */
export function announce(text: string): void {
  if (!status.isConnected) document.body.append(status);
  status.textContent = text;
}
