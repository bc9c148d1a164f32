// `npm run learn`: starts a broker as `npm start` does, with the same settings, and says where its lesson is. Where a broker
// that has the lesson answers at the port already, it only says that.
import { runOrExplain } from "./settings.ts";
import { DEFAULT_PORT, start } from "./start.ts";

const LESSON = "/console/learn";

/** Returns the address of the broker that answers there, or null if none does that has the lesson. */
async function running(): Promise<string | null> {
  const host = process.env.HOST || "127.0.0.1";
  const port = process.env.PORT || DEFAULT_PORT;
  const url = `http://${host.includes(":") ? `[${host}]` : host}:${port}`;
  try {
    const page = await (await fetch(`${url}${LESSON}`)).text();
    return page.includes("/console/assets/learn-") ? url : null;
  } catch {
    return null; // Nobody is there, or it is no port.
  }
}

await runOrExplain(async () => {
  const url = (await running()) ?? (await start());
  console.log(`The lesson is at ${url}${LESSON}`);
});
