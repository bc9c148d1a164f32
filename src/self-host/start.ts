// `npm start`: the broker of a clone, built if its sources have changed. The package has the same as `rivulet start`. Both
// take these variables:
//
//   PORT      8787       HTTP and WebSockets; 0 takes a free port
//   KAFKA_PORT 9092      Kafka's protocol; 0 takes a free port. So does leaving it out if 9092 is taken
//   KAFKA_NODES 1        the number of nodes that the broker presents itself as, each on the next port. Clients open a
//                        connection to each
//   KAFKA_ADVERTISE      the addresses at which its clients find it, if not these: host:port, one for each node, with
//                        commas between
//   KAFKA_TLS_CERT, KAFKA_TLS_KEY
//                        PEM files of a certificate and its key: with both, Kafka's ports speak TLS and nothing else
//   AUTO_CREATE_TOPICS_ENABLE
//                        true or false: whether Kafka's clients create a topic by asking for it. True on a loopback HOST
//   NUM_PARTITIONS 1     the number of partitions of such a topic
//   HOST      127.0.0.1  the address to listen on
//   DATA_DIR  .rivulet   the folder of all data; one broker at a time
//   RIVULET_ROOT_KEY     the root key. Without one, a broker on a loopback HOST is open to this machine. On another HOST
//                        it makes a key, prints it once and keeps it in the data folder. RIVULET_ROOT_KEY_NEXT is good too
//   RIVULET_ALLOWED_ORIGINS, RIVULET_JWT_ISSUERS, RIVULET_SIGNING_KEY, RIVULET_AUDIENCE, RIVULET_QUOTA
//                        see docs/security.md
//   RIVULET_SESSION_CPU_MS
//                        the CPU after which a session ends and its client connects again, as on Cloudflare. No bound here
//   RIVULET_JURISDICTION refused: workerd has no jurisdictions
//   RIVULET_LOG          text by default; json prints lines of the log as objects, as Cloudflare keeps them
//   SWEEP_MS  10000      between two searches for files of deleted objects
//   RIVULET_V8_FLAGS, RIVULET_DATA_MIB
//                        for tests on Linux: flags for V8, and a bound on the data that workerd takes besides what it has
//                        when it first answers
//
// Prints one line with the URL when it answers. Ctrl-C and SIGTERM stop it. So does kill -9, which loses nothing that was
// acknowledged: every write is in the database before it is acknowledged.
import { fileURLToPath } from "node:url";
import { startBroker } from "./broker.ts";
import { buildIfStale } from "./build-if-stale.ts";
import { runOrExplain } from "./settings.ts";
import { workerdFrom } from "./workerd-package.ts";

const BUNDLE = fileURLToPath(new URL("../../dist/worker.js", import.meta.url));

/** Starts the broker of this clone, and returns its address once it answers. @throws StartError */
export async function start(): Promise<string> {
  return startBroker({
    workerdPath: workerdFrom(import.meta.url).path,
    bundle: async () => {
      await buildIfStale();
      return BUNDLE;
    },
  });
}

if (import.meta.main)
  await runOrExplain(async () => {
    await start();
  });
