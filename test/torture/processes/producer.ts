// Produces numbered records at a steady rate, several sends at a time, until SIGTERM; it catches up after a fault. SIGUSR2
// requests a small burst.
import { HistoryWriter } from "../history.ts";
import { sdkAt } from "../sdk.ts";

export interface ProducerArguments {
  readonly folder: string;
  readonly who: string;
  readonly url: string;
  /** The path of another SDK than this tree's. */
  readonly sdk?: string;
  readonly topic: string;
  readonly recordsPerSecond: number;
  /** Short, so that some sends fail with an unknown outcome. */
  readonly deliveryTimeoutMs: number;
}

const RECORDS_PER_SEND = 100;
const SENDS_IN_FLIGHT = 8;
const RECORDS_PER_BURST = 20;
const KEYS = 1_000;
const PADDING = "x".repeat(88);

const own = JSON.parse(process.argv[2] ?? "") as ProducerArguments;
const { folder, who, url, topic, recordsPerSecond, deliveryTimeoutMs } = own;
const { BrokerError, Rivulet } = await sdkAt(own.sdk);
const history = new HistoryWriter(folder, who);
const { producer } = new Rivulet({ url });
const startedMs = performance.now();
let number = 0;
let inFlight = 0;

async function send(count: number): Promise<void> {
  const first = number;
  number += count;
  inFlight++;
  history.write({ e: "send", first, count });
  const records = Array.from({ length: count }, (_, i) => ({
    key: `${who}-key-${Math.floor(Math.random() * KEYS)}`,
    value: `${who}-${first + i} ${PADDING}`,
  }));
  try {
    const outcomes = await producer.send(topic, records, { deliveryTimeoutMs });
    history.write({
      e: "sent",
      first,
      outcomes: outcomes.map((outcome) =>
        "error" in outcome ? outcome.error.code : [outcome.partition, outcome.offset],
      ),
    });
  } catch (error) {
    const code = error instanceof BrokerError ? error.code : "ConnectionError";
    history.write({ e: "sent", first, outcomes: records.map(() => code) });
  }
  inFlight--;
}

function sendWhatIsDue(): void {
  const due = (recordsPerSecond * (performance.now() - startedMs)) / 1_000;
  while (inFlight < SENDS_IN_FLIGHT && number + RECORDS_PER_SEND <= due)
    void send(RECORDS_PER_SEND);
}

const ticks = setInterval(sendWhatIsDue, 20);
process.on("SIGUSR2", () => void send(RECORDS_PER_BURST));
// Sends in flight keep the process alive until they are settled.
process.on("SIGTERM", () => clearInterval(ticks));
