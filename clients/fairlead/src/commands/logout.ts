import { Command } from "commander";
import { LoginStore } from "../login/login-store.ts";
import { revoke } from "../login/revoke.ts";
import { print, printJson, tell } from "../output.ts";
import { readProfiles, selectedProfile } from "../profiles/profiles-file.ts";
import type { RelayOptions } from "./global-options.ts";

/** `fairlead logout`: forgets a login, and tells its issuer. */
export function logoutCommand(): Command {
  return new Command("logout")
    .description("forget your login to a relay, and have its issuer take it back")
    .option("--all", "of all profiles")
    .addHelpText("after", "\nExamples:\n  fairlead logout\n  fairlead logout --profile prod\n  fairlead logout --all")
    .action(async (_own: unknown, command: Command) => {
      const options = command.optsWithGlobals<RelayOptions & { all?: boolean }>();
      const names = options.all ? Object.keys(readProfiles().profiles) : [selectedProfile(options)?.name ?? ""];
      const loggedOut: string[] = [];
      for (const name of names) if (name !== "" && (await logout(name))) loggedOut.push(name);
      if (options.output === "json") return printJson({ loggedOut });
      print(loggedOut.length === 0 ? "You are not logged in." : `You are logged out of ${loggedOut.join(", ")}.`);
    });
}

async function logout(name: string): Promise<boolean> {
  const store = new LoginStore(name);
  return store.exclusively(async () => {
    if (store.version === undefined) return false;
    // One that cannot be read is forgotten all the same.
    const kept = await store.read().catch(() => undefined);
    await store.remove();
    const { login } = readProfiles().profiles[name] ?? {};
    if (kept?.refreshToken === undefined || login?.kind !== "openid") return true;
    try {
      await revoke(login, kept.refreshToken);
    } catch (error) {
      tell(`The issuer was not told, so what it gave may count until it expires: ${Object(error).message}`);
    }
    return true;
  });
}
