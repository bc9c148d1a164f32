// The lesson: consumer groups in ten minutes, in the console. `npm run learn` shows it in a clone, and `rivulet learn` from
// the package.
import { DEFAULT_PORT } from "./settings.ts";

const LESSON = "/console/learn";

/** Prints the lesson's address. Starts a broker first, unless one with the lesson answers at the port. */
export async function showLesson(start: () => Promise<string>): Promise<void> {
  const url = (await running()) ?? (await start());
  console.log(`The lesson is at ${url}${LESSON}`);
}

/**
 * Returns the address of a broker with the lesson that runs already, or null. It is looked for at PORT, or else where the
 * command line finds its broker.
 */
async function running(): Promise<string | null> {
  const host = process.env.HOST || "127.0.0.1";
  const here = `http://${host.includes(":") ? `[${host}]` : host}:${process.env.PORT || DEFAULT_PORT}`;
  const url = process.env.PORT ? here : process.env.RIVULET_URL?.replace(/\/+$/, "") || here;
  try {
    const page = await (await fetch(`${url}${LESSON}`)).text();
    return page.includes("/console/assets/learn-") ? url : null;
  } catch {
    return null; // Nothing answers there, or it is not a port.
  }
}
