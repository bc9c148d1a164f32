// Kafka's own tools for measuring, ProducerPerformance and ConsumerPerformance, each a process of its own.
import { spawn } from "node:child_process";

/** Records or bytes per second, by the tool's own count. */
export async function producerPerformance(
  classpath: string,
  address: string,
  topic: string,
  records: number,
  recordBytes: number,
  properties: readonly string[],
): Promise<number> {
  const said = await runJava(classpath, "org.apache.kafka.tools.ProducerPerformance", [
    ...["--topic", topic, "--num-records", String(records), "--record-size", String(recordBytes)],
    ...["--throughput", "-1", "--producer-props", `bootstrap.servers=${address}`, ...properties],
  ]);
  // The last line is about all records. Earlier ones are about the last seconds.
  const all = [...said.matchAll(/^(\d+) records sent, ([\d.]+) records\/sec/gm)].at(-1);
  if (Number(all?.[1]) !== records) throw new Error(`${topic}: ${said}`);
  return Number(all?.[2]);
}

export async function consumerPerformance(
  classpath: string,
  address: string,
  topic: string,
  records: number,
): Promise<number> {
  const said = await runJava(classpath, "org.apache.kafka.tools.ConsumerPerformance", [
    ...["--bootstrap-server", address, "--topic", topic, "--num-records", String(records)],
    ...["--group", `${topic}-performance`, "--timeout", "60000"],
  ]);
  const lines = said.trim().split("\n");
  const names = lines.find((line) => line.includes("fetch.nMsg.sec"))?.split(",") ?? [];
  const values = lines.at(-1)?.split(",") ?? [];
  const value = (name: string) => Number(values[names.findIndex((each) => each.trim() === name)]);
  if (!(value("data.consumed.in.nMsg") >= records)) throw new Error(`${topic}: ${said}`);
  return value("fetch.nMsg.sec"); // Without the time to join the group.
}

async function runJava(classpath: string, tool: string, args: readonly string[]): Promise<string> {
  const java = ["-Xmx512M", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error", "-cp", classpath];
  const child = spawn("java", [...java, tool, ...args], { stdio: ["ignore", "pipe", "pipe"] });
  let said = "";
  const collect = (data: Buffer) => {
    said += data.toString();
  };
  child.stdout.on("data", collect);
  child.stderr.on("data", collect);
  const code = await new Promise((resolve) => child.once("close", resolve));
  if (code !== 0) throw new Error(`${tool} ended with ${code}: ${said}`);
  return said;
}
