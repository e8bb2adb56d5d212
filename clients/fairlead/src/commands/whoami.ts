import { timestampDate } from "@bufbuild/protobuf/wkt";
import { Command } from "commander";
import { printAnswer, withFormats } from "../output.ts";
import { selectedProfile } from "../profiles/profiles-file.ts";
import { type RelayOptions, relayOf } from "./global-options.ts";

/** `fairlead whoami`: who you are to the relay. */
export function whoamiCommand(): Command {
  return withFormats(new Command("whoami"), "yaml")
    .description("say who you are to the relay, and until when")
    .addHelpText(
      "after",
      "\nExamples:\n  fairlead whoami\n  fairlead whoami --output json\n\n" +
        "Each cluster judges by itself: kubectl auth whoami says who you are there.",
    )
    .action(async (_own: unknown, command: Command) => {
      const options = command.optsWithGlobals<RelayOptions>();
      const relay = relayOf(options);
      const { user, groups, expireTime, administrator } = await relay.caller.getCaller({});
      const profile = selectedProfile(options)?.name;
      const expires = expireTime ? timestampDate(expireTime).toISOString() : "";
      const said = { user, groups, administrator, expires, relay: relay.url.origin };
      const lines = [
        ["User", user],
        ["Groups", groups.join(", ") || "(none)"],
        ...(administrator ? [["Administers", "this relay"]] : []),
        ["Token until", expires],
        ["Relay", profile ? `${said.relay} (profile ${profile})` : said.relay],
      ];
      await printAnswer(options.output, {
        value: () => ({ ...said, ...(profile && { profile }) }),
        text: () => lines.map(([name = "", value]) => `${name.padEnd(12)} ${value}`).join("\n"),
      });
    });
}
