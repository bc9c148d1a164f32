// The configuration that `npm run dev` gives to wrangler, made from wrangler.toml.

export interface DevConfig {
  readonly host: string;
  /** Ports for Kafka's protocol. */
  readonly ports: readonly number[];
  /** Variables that override wrangler.toml. */
  readonly variables: Readonly<Record<string, string>>;
  /** Variables that apply if wrangler.toml does not set them. */
  readonly defaults: Readonly<Record<string, string>>;
}

/** Returns the text of wrangler.toml with these variables in its table `[vars]`, and with listeners for Kafka's protocol. */
export function devConfig(text: string, { host, ports, variables, defaults }: DevConfig): string {
  const line = (name: string) => new RegExp(`^[ \\t]*${name}[ \\t]*=.*(?:\\n|$)`, "m");
  let rest = text;
  for (const name of Object.keys(variables)) rest = rest.replace(line(name), "");
  const missing = Object.entries(defaults).filter(([name]) => !line(name).test(rest));
  const lines = [...Object.entries(variables), ...missing].map(
    ([name, value]) => `${name} = ${JSON.stringify(value)}\n`,
  );
  const table = `[vars]\n${lines.join("")}`;
  const own = /^\[vars\][ \t]*(?:#.*)?\n/m;
  const whole = own.test(rest) ? rest.replace(own, () => table) : `${rest}\n${table}`;
  const listeners = ports.map(
    (port) => `[[connect]]\nprotocol = "tcp"\naddress = "${host}"\nport = ${port}\n`,
  );
  return [whole, ...listeners].join("\n");
}
