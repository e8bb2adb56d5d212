import { Command } from "commander";
import { LoginStore } from "../login/login-store.ts";
import { printAnswer, table, tell, withFormats } from "../output.ts";
import { changeProfiles, profileNamed, readProfiles } from "../profiles/profiles-file.ts";
import type { RelayOptions } from "./global-options.ts";

/** `fairlead profiles`: the relays that you logged in to. */
export function profilesCommand(): Command {
  const list = withFormats(new Command("profiles"), "yaml", "name")
    .description("list the relays that you logged in to, and choose the current one")
    .addHelpText("after", EXAMPLES)
    .action(async (_own: unknown, command: Command) => {
      const { current, profiles } = readProfiles();
      const all = Object.entries(profiles).map(([name, { relay, login }]) => ({
        ...{ name, relay, current: name === current, login: login?.kind ?? "" },
        loggedIn: login !== undefined && (login.kind !== "openid" || new LoginStore(name).version !== undefined),
      }));
      const { output } = command.optsWithGlobals<RelayOptions>();
      if (all.length === 0 && output === "text") return tell("There is none; run `fairlead login https://RELAY`.");
      const rows = all.map((each) => [
        ...[each.current ? "*" : "", each.name, each.relay, each.loggedIn ? each.login : "logged out"],
      ]);
      await printAnswer(output, {
        value: () => all,
        text: () => table(["CURRENT", "NAME", "RELAY", "LOGIN"], rows),
        names: () => all.map(({ name }) => name),
      });
    });
  list.addCommand(
    new Command("use")
      .description("make a profile the current one")
      .argument("<name>", "the profile")
      .addHelpText("after", "\nExample:\n  fairlead profiles use prod")
      .action(async (name: string) => {
        await changeProfiles((before) => {
          profileNamed(before.profiles, name);
          return { ...before, current: name };
        });
        tell(`Profile ${name} is the current one.`);
      }),
  );
  list.addCommand(
    new Command("remove")
      .description("forget a profile and its login")
      .argument("<name>", "the profile")
      .addHelpText(
        "after",
        "\nExample:\n  fairlead profiles remove old\n\n`fairlead logout` first has the issuer told.",
      )
      .action(async (name: string) => {
        await changeProfiles((before) => {
          profileNamed(before.profiles, name);
          const { [name]: _gone, ...profiles } = before.profiles;
          return { ...(before.current !== name && before.current && { current: before.current }), profiles };
        });
        const store = new LoginStore(name);
        await store.exclusively(() => store.remove());
        tell(`Profile ${name} is removed.`);
      }),
  );
  return list;
}

const EXAMPLES = `
Examples:
  fairlead profiles
  fairlead profiles --output yaml
  fairlead profiles use prod
  fairlead profiles remove old`;
