// Writes an application's value as JSON. It rejects values that JSON cannot express. `JSON.stringify` would omit them,
// or write `null` or `{}`, and another record than intended would be stored.

/** Returns the JSON text of a value. @throws Error that names the place of a value without a JSON form */
export function jsonText(value: unknown): string {
  const fault = faultOf(value, []);
  if (fault) throw new Error(`has no JSON form: $${fault}`);
  return JSON.stringify(value);
}

/** Returns the place and kind of the first value without a JSON form. `parents` are the objects around the value. */
function faultOf(value: unknown, parents: unknown[]): string | undefined {
  const type = typeof value;
  if (value === null || type === "string" || type === "boolean" || Number.isFinite(value)) return;
  if (type !== "object") return ` is ${type === "number" ? value : type}`;
  const given = value as { toJSON?: unknown };
  // An invalid date becomes null.
  if (typeof given.toJSON === "function") return faultOf(given.toJSON() ?? Number.NaN, parents);
  const isList = Array.isArray(given);
  // For example "[object Map]". An instance of the application's own class is an Object.
  const kind: string = Object.prototype.toString.call(given);
  if (parents.includes(given)) return " is a cycle";
  if (!isList && kind !== "[object Object]") return ` is ${kind}`;
  parents.push(given);
  for (const [key, each] of isList ? given.entries() : Object.entries(given)) {
    // An undefined property is left out, so it reads back as undefined.
    const fault = (isList || each !== undefined) && faultOf(each, parents);
    if (fault) return `.${key}${fault}`;
  }
  parents.pop();
}
