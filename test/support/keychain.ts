import { existsSync } from "node:fs";
import { mkdtemp } from "node:fs/promises";
import { join } from "node:path";
import { eventually } from "./eventually.ts";
import { RunningProgram } from "./running-program.ts";

const [BUS, KEYRING] = ["/usr/bin/dbus-daemon", "/usr/bin/gnome-keyring-daemon"];

/** Whether a Secret Service can run here; Debian's dbus and gnome-keyring. */
export const hasKeychain = existsSync(BUS) && existsSync(KEYRING);

/** The keychain of a Linux desktop: a session bus with a Secret Service on it, unlocked, which forgets all at its end. */
export class Keychain {
  readonly #programs: readonly RunningProgram[];
  readonly #env: Record<string, string>;

  private constructor(programs: readonly RunningProgram[], env: Record<string, string>) {
    this.#programs = programs;
    this.#env = env;
  }

  static async start(under: string): Promise<Keychain> {
    const folder = await mkdtemp(join(under, "keychain-"));
    const bus = new RunningProgram({ file: BUS, args: ["--session", "--nofork", "--print-address"] });
    const [, address = ""] = await bus.waitForOutput(/^(unix:\S+)$/m);
    const env = { DBUS_SESSION_BUS_ADDRESS: address };
    const all = { ...env, PATH: "/usr/bin:/bin", HOME: folder, XDG_DATA_HOME: folder, XDG_RUNTIME_DIR: folder };
    const args = ["--foreground", "--unlock", "--components=secrets"];
    const keyring = new RunningProgram({ file: KEYRING, args }, { env: all });
    keyring.endInput("the-users-password");
    await eventually(() => existsSync(join(folder, "keyrings", "login.keyring")), {
      what: "the keyring to be unlocked",
    });
    return new Keychain([keyring, bus], env);
  }

  /** What leads programs to it. */
  get env(): Record<string, string> {
    return this.#env;
  }

  /** Ends it. */
  async stop(): Promise<void> {
    for (const program of this.#programs) await program.stop();
  }
}
