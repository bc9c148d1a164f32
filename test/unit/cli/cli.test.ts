// The command line's pure parts; test/e2e/cli.test.ts runs it.
import { execFileSync } from "node:child_process";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { Command } from "../../../src/cli/command.ts";
import { commandTree } from "../../../src/cli/command-tree.ts";
import { bashCompletion } from "../../../src/cli/completion/bash.ts";
import { fishCompletion } from "../../../src/cli/completion/fish.ts";
import { zshCompletion } from "../../../src/cli/completion/zsh.ts";
import { explain, withAfterword } from "../../../src/cli/context.ts";
import { openInput } from "../../../src/cli/input.ts";
import { manualOf } from "../../../src/cli/manual.ts";
import { createProgram } from "../../../src/cli/program.ts";
import { progressLine, totalsLine } from "../../../src/cli/progress-line.ts";
import { parsePlan } from "../../../src/cli/reset-plan.ts";
import { screenful } from "../../../src/cli/screen.ts";
import { addSettings, heldSettings, settle } from "../../../src/cli/settings.ts";
import { table } from "../../../src/cli/table.ts";
import { BrokerError, ConnectionError } from "../../../src/sdk/index.ts";

const folder = mkdtempSync(join(tmpdir(), "rivulet-config-"));
const config = join(folder, "config.json");
beforeEach(() => {
  for (const name of ["RIVULET_URL", "RIVULET_TOKEN", "RIVULET_CONFIG"]) vi.stubEnv(name, "");
  vi.stubEnv("XDG_CONFIG_HOME", join(folder, "none"));
});
afterEach(() => void vi.unstubAllEnvs());

describe("progress", () => {
  const numbers = { records: 45_000, bytes: 4_512_000, elapsedMs: 3_000 };

  test.each([
    [numbers, null, 80, "45,000 records  15,000/s  4.5 MB"],
    [numbers, 0.5, 60, "45,000 records  15,000/s  4.5 MB  [##########----------] 50%"],
    [numbers, 0.999, 50, "45,000 records  15,000/s  4.5 MB  [#########-] 99%"],
    [numbers, 1.01, 50, "45,000 records  15,000/s  4.5 MB  [##########]100%"],
    [numbers, 0.07, 40, "  7%  45,000 records  15,000/s  4.5 MB"],
    [numbers, 0.07, 20, "  7%  45,000 records"],
    [{ records: 1, bytes: 999, elapsedMs: 0 }, null, 80, "1 record  0/s  999 B"],
    [{ records: 0, bytes: 999_960, elapsedMs: 1 }, null, 80, "0 records  0/s  1.0 MB"],
  ] as const)("[CLI-2] %o, part %s, is a line of %s columns", (each, part, width, line) => {
    expect(progressLine(each, part, width)).toBe(line);
  });

  test("[CLI-2] no line is wider than the terminal", () => {
    for (let width = 1; width < 100; width++) {
      for (const part of [null, 0, 0.3, 1])
        expect(progressLine(numbers, part, width).length).toBeLessThanOrEqual(width);
    }
  });

  test("[CLI-2] the last line has the totals", () => {
    expect(totalsLine(numbers)).toBe("45,000 records, 4.5 MB in 3.0 s, 15,000/s");
  });
});

describe("tables", () => {
  const rows = [
    ["orders-of-a-long-name", 0, 123_456_789, "client-with-a-longer-name-1"],
    ["b", 12, null, ""],
  ];
  const headings = ["TOPIC", "PARTITION", "END", "OWNER"];

  test("[CLI-4] a table that fits is whole", () => {
    const whole = [
      "TOPIC                  PARTITION        END  OWNER",
      "orders-of-a-long-name          0  123456789  client-with-a-longer-name-1",
      "b                             12          -",
    ].join("\n");
    expect(table(headings, rows, 72)).toBe(whole);
    expect(table(headings, rows, Number.POSITIVE_INFINITY)).toBe(whole);
    expect(table(headings, rows), "the tests' standard output is no terminal").toBe(whole);
  });

  test("[CLI-4] the widest columns of text are cut, numbers and headings never", () => {
    expect(table(headings, rows, 50).split("\n")).toEqual([
      "TOPIC          PARTITION        END  OWNER",
      "orders-of-a-…          0  123456789  client-with-…",
      "b                     12          -",
    ]);
    expect(table(headings, rows, 10).split("\n")[1]).toBe("orde…          0  123456789  clie…");
    const times = [["2026-11-01T00:00:00.000Z", "x".repeat(30)]];
    expect(table(["TIME", "DETAIL"], times, 36)).toContain("2026-11-01T00:00:00.000Z  xxxxxxxxx…");
    expect(
      table(
        ["KEY", "VALUE"],
        [
          ["k", 123_456],
          ["m", "compact"],
        ],
        8,
      ),
    ).toContain("k    123456");
  });

  test("[CLI-3] output higher than the terminal loses lines, not its last", () => {
    expect(screenful("a\nb\nc\ntotal", 5)).toBe("a\nb\nc\ntotal");
    expect(screenful("a\nb\nc\nd\ntotal", 5)).toBe("a\nb\n… 2 more lines\ntotal");
  });
});

interface Page {
  readonly path: string;
  readonly help: string;
}

function pagesOf(command: Command, path = command.name()): Page[] {
  let help = "";
  command.configureOutput({
    writeOut: (text) => {
      help += text;
    },
  });
  command.outputHelp();
  const below = command.createHelp().visibleCommands(command);
  const own = below.filter((each) => command.commands.includes(each)) as Command[];
  return [{ path, help }, ...own.flatMap((each) => pagesOf(each, `${path} ${each.name()}`))];
}

/** Throws errors. Unless `isInert` is false, actions do nothing. */
function parser(command = createProgram(), isInert = true): Command {
  command.exitOverride().configureOutput({ writeErr: () => {} });
  if (isInert && command.commands.length === 0) command.action(() => {});
  for (const child of command.commands) parser(child as Command, isInert);
  return command;
}

function commandAt(command: Command, ...path: readonly string[]): Command {
  return path.reduce(
    (at, name) => at.commands.find((each) => each.name() === name) as Command,
    command,
  );
}

describe("help", () => {
  const program = createProgram();
  const pages = pagesOf(createProgram());

  test.each(pages)(
    "[CLI-5] $path shows two or three examples that parse",
    async ({ help, path }) => {
      const examples =
        help
          .match(/\n\nExamples:\n((?: {2}.+\n)+)$/)?.[1]
          ?.trim()
          .split(/\n +/) ?? [];
      expect(examples.length).toBeGreaterThan(1);
      expect(examples.length).toBeLessThanOrEqual(3);
      for (const example of examples) {
        const [line = ""] = example.split(" > ");
        const own = line.split(" | ").filter((part) => part.startsWith("rivulet "));
        expect(own, example).toHaveLength(1);
        const words = Array.from(
          own[0]?.matchAll(/'([^']*)'|(\S+)/g) ?? [],
          ([, quoted, plain]) => quoted ?? plain ?? "",
        );
        const run = parser().parseAsync(words.slice(1), { from: "user" });
        await expect(run, example).resolves.toBeDefined();
      }
      const ofItself =
        path === "rivulet" || examples.some((each) => each.includes(path.split(" ").at(-1) ?? ""));
      expect(ofItself, "an example of the command itself").toBe(true);
    },
  );

  test.each(pages.filter(({ path }) => path !== "rivulet"))(
    "[CLI-21] the manual page of $path has all its parts",
    async ({ path }) => {
      const printed = vi.spyOn(process.stdout, "write").mockReturnValue(true);
      await parser(createProgram(), false).parseAsync(["help", ...path.split(" ").slice(1)], {
        from: "user",
      });
      const page = printed.mock.calls.map(([text]) => String(text)).join("");
      printed.mockRestore();
      const titles = page.match(/^[A-Z ]+$/gm) ?? [];
      for (const title of ["NAME", "SYNOPSIS", "DESCRIPTION", "EXAMPLES", "EXIT STATUS"])
        expect(titles).toContain(title);
      expect(titles).toContain("GLOBAL OPTIONS");
      expect(page).toMatch(/^ENVIRONMENT\n {4}RIVULET_URL\n/m);
      for (const example of commandAt(program, ...path.split(" ").slice(1)).exampleLines)
        expect(page, "a command line is whole").toContain(`\n    ${example}\n`);
      expect(page).toMatch(new RegExp(`^NAME\\n {4}${path} - [a-z]`));
      expect(
        page.split("\n").filter((line) => line.length > 100 && !/^ {4}rivulet /.test(line)),
      ).toEqual([]);
    },
  );

  test("[CLI-21] a page names its options with their defaults, what else exits with 1, and related commands", async () => {
    const page = manualOf(program, commandAt(program, "groups", "lag"), 80);
    expect(page).toContain("SYNOPSIS\n    rivulet [global options] groups lag [options] <group>\n");
    expect(page).toMatch(/-w, --watch \[seconds\]\n {8}Show it again .*\(default: 2\)/s);
    expect(page).toMatch(/1 {2}It failed\. Also if a partition does not answer/);
    expect(page).toMatch(/SEE ALSO\n {4}rivulet help groups list, rivulet help groups describe/);
    const group = manualOf(program, commandAt(program, "groups"), 80);
    expect(group).toContain("groups <command>\n");
    expect(group).toMatch(/COMMANDS\n {4}list\n {8}List the groups/);
  });

  test("[CLI-21] the command's own help wraps its text at the width of the options", () => {
    const { help = "" } = pages.find(({ path }) => path === "rivulet consume") ?? {};
    const text = help.slice(0, help.indexOf("\nExamples:"));
    expect(text).toContain("A position is a time");
    expect(text.split("\n").filter((line) => line.length > 80)).toEqual([]);
  });

  test.each([
    [["topicz"], "(Did you mean topics?)"],
    [["groups", "lst"], "(Did you mean list?)"],
    [["consume", "orders", "--form", "x"], "(Did you mean --from?)"],
    [["help", "produze"], "(Did you mean produce?)"],
    [["help", "topics", "creat"], "(Did you mean create?)"],
  ])("[CLI-21] %j gets the intended name: %s", async (args, hint) => {
    const run = parser(createProgram(), false).parseAsync(args, { from: "user" });
    await expect(run).rejects.toThrow(hint);
  });

  test("[CLI-5] an example with a missing option would be detected", async () => {
    const run = parser().parseAsync(["topics", "list", "--nosuch"], { from: "user" });
    await expect(run).rejects.toThrow("unknown option");
  });
});

describe("completion", () => {
  const tree = commandTree(createProgram());

  /** The completions that Tab offers if `complete` prints these lines here. */
  function offered(...lines: readonly string[][]): string[][] {
    const script = `
      rivulet() { case "$2" in topics) printf 'orders\\nprices\\n';; alerts) echo late;; groups) printf '%s\\n' 'a $(exit 9) b';; esac; }
      ${bashCompletion(tree)}
      offer() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _rivulet; printf '%s\\t' "\${COMPREPLY[@]}"; echo; }
      ${lines.map((words) => `offer rivulet ${words.map((word) => `'${word}'`).join(" ")}`).join("\n")}`;
    const out = execFileSync("bash", ["--norc"], { input: script, encoding: "utf8" });
    return out
      .trimEnd()
      .split("\n")
      .map((line) => line.split("\t").filter((word) => word !== ""));
  }

  test("[CLI-6] bash completes commands, options, their values, topics and groups", () => {
    const answers = offered(
      ["top"],
      ["--json", "topics", "d"],
      ["topics", "describe", ""],
      ["tail", "or"],
      ["consume", "--from", ""],
      ["consume", "--group", ""],
      ["groups", "lag", "--w"],
      ["groups", "reset", "--q"],
      ["topics", "create", "o"],
      ["help", "prod"],
      ["help", "topics", "cr"],
      ["consume", "--until", ""],
      ["consume", "--print", "ti"],
      ["groups", "list", "--state", "S"],
      ["topics", "list", "--sort", "re"],
      ["alerts", "show", ""],
      ["alerts", "set", "x", "--type", "b"],
      ["costs", "--topic", "pr"],
    );
    expect(answers).toEqual([
      ["topics"],
      ["describe", "delete-records", "delete"],
      ["orders", "prices"],
      ["orders"],
      ["earliest", "latest"],
      ["a\\ \\$\\(exit\\ 9\\)\\ b"],
      ["--watch"],
      ["--quiet"],
      [],
      ["produce"],
      ["create"],
      ["now"],
      ["timestamp"],
      ["STABLE"],
      ["records"],
      ["late"],
      ["budget"],
      ["prices"],
    ]);
  });

  test("[CLI-6] the scripts for zsh and fish have every command and every option", () => {
    const scripts = { zsh: zshCompletion(tree), fish: fishCompletion(tree) };
    expect(tree.length).toBeGreaterThan(20);
    for (const { path, commands, options } of tree) {
      for (const { name } of commands) {
        expect(scripts.zsh).toContain(`'${name}:`);
        expect(scripts.fish).toContain(`'__rivulet_at "${path}"' -a '${name}' -d '`);
      }
      for (const flag of options.flatMap(({ flags }) => flags)) {
        expect(scripts.zsh).toContain(`'${flag}:`);
        expect(scripts.fish).toMatch(
          flag.startsWith("--") ? `-l ${flag.slice(2)} ` : `-s ${flag.slice(1)} `,
        );
      }
    }
    expect(scripts.zsh).toContain(
      "('consume -g'|'consume --group') _rivulet_names groups; return ;;",
    );
    expect(scripts.fish).toContain("-s g -l group -x -a '(rivulet complete groups 2>/dev/null)'");
    expect(
      tree.map(({ path }) => path),
      "what only the scripts call is not offered",
    ).not.toContain("complete");
  });
});

test.each([
  [{}, "HTTP 401: no access", /^http:\/\/b refuses access: HTTP 401 .*\nIt wants a token: /],
  [{ token: "t" }, "HTTP 403: no access", /HTTP 403 .*\nIt wants another token: /],
  [{}, "HTTP 404: not a Rivulet broker", /^HTTP 404: not a .*\nIs the broker running\?/],
])("[CLI-11] with %o, %s is reported as what it is", (token, message, told) => {
  expect(explain(new ConnectionError(message), { url: "http://b", ...token })).toMatch(told);
});

test("[CLI-22] an error shows control characters of a broker, and says last what was done before", () => {
  const error = new BrokerError("INVALID_REQUEST", "a\x1b]0;x\x07\nb");
  expect(explain(withAfterword(error, "2 records stored before that."), { url: "http://b" })).toBe(
    "INVALID_REQUEST: a\\x1b]0;x\\x07\\x0ab\n2 records stored before that.",
  );
  expect(explain(new ConnectionError("\x9b1m"), { url: "http://b" })).toMatch(/^\\x9b1m\n/);
});

describe("input", () => {
  async function read(
    text: string | Buffer,
    isArray: boolean,
    maxBytes = 1_000_000,
  ): Promise<string[]> {
    const file = join(folder, "input");
    writeFileSync(file, text);
    const lines: string[] = [];
    for await (const pieces of (await openInput(file, { isArray, isRaw: false, maxBytes })).pieces)
      for (const { bytes } of pieces) lines.push(bytes.toString());
    return lines;
  }

  test("[CLI-10] one byte-order mark at the start is skipped, and none elsewhere", async () => {
    expect(await read("\ufeffa\r\n\ufeffb\n", false)).toEqual(["a", "\ufeffb"]);
    expect(await read("\ufeff\ufeffa", false)).toEqual(["\ufeffa"]);
    expect(await read("\ufeff\n", false)).toEqual([]);
    expect(await read(Buffer.of(0xef, 0xbb), false)).toHaveLength(1);
    expect(await read('\ufeff[1.0, {"a":"\ufeff"}]', true)).toEqual(["1.0", '{"a":"\ufeff"}']);
    for (const plan of ["t,0,7\n", '{"offsets":[{"topic":"t","partition":0,"offset":7}]}'])
      expect(parsePlan(`\ufeff${plan}`, "plan")).toEqual([{ topic: "t", partition: 0, offset: 7 }]);
  });
});

describe("long lines", () => {
  test("[CLI-25] a line is not collected beyond its bound, and is named", async () => {
    const file = join(folder, "endless");
    writeFileSync(file, `a\n${"x".repeat(300_000)}`);
    const options = { isArray: false, isRaw: false, maxBytes: 100_000 };
    const lines: number[] = [];
    const reading = async () => {
      for await (const pieces of (await openInput(file, options)).pieces)
        for (const { line } of pieces) lines.push(line);
    };
    await expect(reading()).rejects.toMatchObject({
      code: "MESSAGE_TOO_LARGE",
      message: "line 2 has more than 100000 bytes, the bound",
    });
    expect(lines).toEqual([1]);
  });
});

describe("settings", () => {
  function settled(...args: string[]) {
    const program = new Command().exitOverride();
    addSettings(program);
    program.action(() => settle(program));
    program.parse(args, { from: "user" });
    return Object.fromEntries(
      heldSettings(program).settings.map(({ name, value, from }) => [name, { value, from }]),
    );
  }

  function write(text: string): void {
    writeFileSync(config, text);
    vi.stubEnv("RIVULET_CONFIG", config);
  }

  test("[CLI-7] an option wins over the environment, the environment over the file, the file over the default", () => {
    expect(settled()).toEqual({
      url: { value: "http://127.0.0.1:8787", from: "default" },
      token: { value: null, from: "default" },
    });
    write('{"url":"http://file","token":"of-the-file-and-long"}');
    expect(settled()).toEqual({
      url: { value: "http://file", from: config },
      token: { value: "****long", from: config },
    });
    vi.stubEnv("RIVULET_URL", "http://environment");
    vi.stubEnv("RIVULET_TOKEN", "short");
    expect(settled()).toEqual({
      url: { value: "http://environment", from: "RIVULET_URL" },
      token: { value: "****", from: "RIVULET_TOKEN" },
    });
    expect(settled("--url", "http://option", "--token", "t")).toEqual({
      url: { value: "http://option", from: "--url" },
      token: { value: "****", from: "--token" },
    });
  });

  test.each([
    ["{", "is not JSON: "],
    ["[]", "is JSON, but not an object"],
    ['{"tokn":"x"}', ': "tokn" is not a setting, there are url and token'],
    ['{"url":5}', ": url is 5, it must be an http or https address such as http://127.0.0.1:8787"],
    ['{"token":"a secret"}', ": token must be ASCII text without spaces"],
    ['{"token":null}', ": token is null, it must be ASCII text without spaces"],
  ])(
    "[CLI-7] a file that holds %s is rejected with the file, the key and the bound",
    (text, error) => {
      write(text);
      expect(() => settled()).toThrow(`${config}${error.startsWith(":") ? "" : " "}${error}`);
    },
  );

  test("[CLI-10] a byte-order mark before the config is not part of it", () => {
    write('\ufeff{"url":"http://file"}');
    expect(settled().url).toEqual({ value: "http://file", from: config });
    write('\ufeff\ufeff{"url":"http://file"}');
    expect(() => settled()).toThrow("is not JSON");
  });

  test("[CLI-7] an overridden value is not checked; a named file must exist", () => {
    write('{"url":"http://file"}');
    vi.stubEnv("RIVULET_URL", "nonsense");
    expect(() => settled()).toThrow(
      'RIVULET_URL is "nonsense", it must be an http or https address',
    );
    expect(settled("--url", "http://option").url?.from).toBe("--url");
    vi.stubEnv("RIVULET_CONFIG", join(folder, "nosuch"));
    expect(() => settled()).toThrow(/nosuch cannot be read: ENOENT/);
  });
});
