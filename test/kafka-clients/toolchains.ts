// The tools that build the drivers in Java and Go, and where the builds are kept between runs.
import { execFileSync, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";

export const JAVA = "java";
const JAVAC = "javac";
const MAVEN = "mvn";
const GO = "go";

/** The profiles of java/pom.xml. */
export const JAVA_CLIENTS = ["newest", "older"] as const;
export type JavaClient = (typeof JAVA_CLIENTS)[number];

const sources = (folder: string) => fileURLToPath(new URL(`./${folder}`, import.meta.url));
const CACHE = fileURLToPath(new URL("../../node_modules/.cache/kafka-clients", import.meta.url));
export const FRANZ_DRIVER = join(CACHE, "franz-driver");

/** The check for each tool, and where it comes from. */
const TOOLS = [
  { command: JAVAC, arg: "-version", from: "`apt-get install openjdk-17-jdk-headless`" },
  { command: MAVEN, arg: "-v", from: "`apt-get install maven`" },
  { command: GO, arg: "version", from: "Go 1.26 or newer" },
] as const;

/** Reports what is missing. */
export function missingTools(): string[] {
  return missingOf(TOOLS);
}

/** Reports what is missing for building Java's clients and tools. */
export function missingJavaTools(): string[] {
  return missingOf(TOOLS.filter(({ command }) => command !== GO));
}

function missingOf(tools: readonly (typeof TOOLS)[number][]): string[] {
  const missing = tools.filter(
    ({ command, arg }) => spawnSync(command, [arg], { stdio: "ignore" }).status !== 0,
  );
  return missing.map(({ command, from }) => `${command} is not on the PATH: ${from}`);
}

/** Fetches Kafka's newest artifacts, unless they are there. Returns the class path of its clients, tools and broker. */
export function kafkaClasspath(): string {
  const java = builtJava();
  return readFileSync(join(java, "newest.classpath"), "utf8");
}

function builtJava(): string {
  const java = javaFolder();
  const isBuilt = JAVA_CLIENTS.every((version) => hasJars(join(java, `${version}.classpath`)));
  if (!isBuilt) buildJava(java);
  return java;
}

export function buildDrivers(): void {
  builtJava();
  // Go keeps its compiled code itself.
  execFileSync(GO, ["build", "-o", FRANZ_DRIVER, "."], { cwd: sources("go"), stdio: "inherit" });
}

/** One folder for each state of the sources: its content is whole, or is built again. */
function javaFolder(): string {
  const hash = createHash("sha256");
  for (const file of readdirSync(sources("java")).sort())
    hash.update(file).update(readFileSync(join(sources("java"), file)));
  return join(CACHE, `java-${hash.digest("hex").slice(0, 16)}`);
}

function hasJars(classpathFile: string): boolean {
  if (!existsSync(classpathFile)) return false;
  return readFileSync(classpathFile, "utf8")
    .split(delimiter)
    .every((jar) => existsSync(jar));
}

function buildJava(folder: string): void {
  mkdirSync(folder, { recursive: true });
  const pom = join(sources("java"), "pom.xml");
  const classpaths = JAVA_CLIENTS.map((version) => {
    const file = join(folder, `${version}.resolved`);
    const goal = ["dependency:build-classpath", `-Dmdep.outputFile=${file}`];
    execFileSync(MAVEN, ["-q", "-B", "-Dstyle.color=never", "-f", pom, "-P", version, ...goal], {
      stdio: "inherit",
    });
    return { version, jars: readFileSync(file, "utf8") };
  });
  const files = readdirSync(sources("java")).filter((file) => file.endsWith(".java"));
  const args = ["-d", folder, "-cp", classpaths[0]?.jars ?? ""];
  execFileSync(JAVAC, [...args, ...files], { cwd: sources("java"), stdio: "inherit" });
  for (const { version, jars } of classpaths)
    writeFileSync(join(folder, `${version}.classpath`), jars);
}

/** The arguments that start `java` with that version of the client, before the name of the class. */
export function javaArgs(version: JavaClient): string[] {
  const folder = javaFolder();
  const jars = readFileSync(join(folder, `${version}.classpath`), "utf8");
  return [
    // A process lives for seconds, so it must start fast.
    "-XX:TieredStopAtLevel=1",
    "-XX:+UseSerialGC",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=off",
    "-cp",
    [folder, jars].join(delimiter),
  ];
}
