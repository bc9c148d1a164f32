// rivulet help: the manual page of a command.
import { Command, helpWidth } from "../command.ts";
import { manualOf } from "../manual.ts";

export function addHelp(program: Command): void {
  program
    .helpCommand(false)
    .command("help [command...]")
    .summary("print the manual page of a command")
    .description(
      "Prints the manual page of a command: what it does, its options, examples, exit status and environment. " +
        "Without a command it lists the commands. --help of a command prints less.",
    )
    .examples("rivulet help consume", "rivulet help groups reset")
    .action(async (path: string[]) => {
      if (path.length === 0) return program.outputHelp();
      let command = program;
      for (const name of path) {
        const child = command.commands.find((each) => each.name() === name);
        // It reports the unknown name, with names like it.
        if (!(child instanceof Command))
          return void (await command.parseAsync([name], { from: "user" }));
        command = child;
      }
      process.stdout.write(`${manualOf(program, command, helpWidth())}\n`);
    });
}
