// Writes an application's value as JSON. It refuses what JSON cannot express: `JSON.stringify` would leave that out, or
// write `null` or `{}` instead, and the record would be stored as something else.

/** Returns the JSON text of a value. @throws Error that names the place of what JSON cannot say */
export function jsonText(value: unknown): string {
  const fault = faultOf(value, []);
  if (fault) throw new Error(`has no JSON form: $${fault}`);
  return JSON.stringify(value);
}

/** Returns the place of what JSON cannot say, and what that is. `parents` are the objects around the value. */
function faultOf(value: unknown, parents: unknown[]): string | undefined {
  const type = typeof value;
  if (value === null || type === "string" || type === "boolean" || Number.isFinite(value)) return;
  if (type !== "object") return ` is ${type === "number" ? value : type}`;
  const given = value as { toJSON?: unknown };
  // A date that is none makes null.
  if (typeof given.toJSON === "function") return faultOf(given.toJSON() ?? Number.NaN, parents);
  const isList = Array.isArray(given);
  // "[object Map]" and so on. An instance of the application's own class is an Object.
  const kind: string = Object.prototype.toString.call(given);
  if (parents.includes(given)) return " is a cycle";
  if (!isList && kind !== "[object Object]") return ` is ${kind}`;
  parents.push(given);
  for (const [key, each] of isList ? given.entries() : Object.entries(given)) {
    // A property that is undefined is left out, and so reads back as undefined.
    const fault = (isList || each !== undefined) && faultOf(each, parents);
    if (fault) return `.${key}${fault}`;
  }
  parents.pop();
}
