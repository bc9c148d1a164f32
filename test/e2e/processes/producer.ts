// Produces numbered records until SIGTERM and reports each acknowledgement as a line of JSON. After a
// failure it goes on with new numbers: what was not acknowledged may or may not be stored.
//   node producer.ts URL TOPIC NAME
import { Rivulet } from "../../../src/sdk/index.ts";

const [url = "", topic = "", name = ""] = process.argv.slice(2);
const { producer } = new Rivulet({ url });
let isStopping = false;
process.on("SIGTERM", () => {
  isStopping = true;
});
for (let number = 0; !isStopping; number += 10) {
  const ids = Array.from({ length: 10 }, (_, i) => `${name}-${number + i}`);
  try {
    const outcomes = await producer.send(
      topic,
      ids.map((id) => ({ key: id, value: id })),
    );
    for (const [i, outcome] of outcomes.entries()) {
      if (!("error" in outcome))
        process.stdout.write(`${JSON.stringify({ id: ids[i], ...outcome })}\n`);
    }
  } catch {
    // The broker is down: retry soon, with the next numbers.
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
